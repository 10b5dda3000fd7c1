/** A disk store, its access policies and the data plane on a TLS port of its own, for the tests of the data plane. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AnonymousCredential, PageBlobClient, type StoragePipelineOptions } from '@azure/storage-blob';
import {
  type AccessPolicies,
  createDataPlane,
  type DataPlaneLogEntry,
  type DataPlaneOptions,
  type DiskStore,
  FaultScript,
  type IssuedGrant,
  openAccessPolicies,
  openDiskStore,
  snapshotTime,
} from '../../local/azure/disks/index.ts';
import { ensureTls, type LoopbackTls } from '../../local/azure/tls.ts';

export const GIB = 1024 ** 3;
export const MIB = 1024 ** 2;

export interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** The clock of a test: stands still until it is moved. */
export class TestClock {
  time = Date.parse('2026-11-21T10:00:00.000Z');
  now(): Date {
    return new Date(this.time);
  }
}

export class DataPlaneServer {
  readonly clock = new TestClock();
  readonly faults = new FaultScript();
  readonly log: DataPlaneLogEntry[] = [];
  store!: DiskStore;
  policies!: AccessPolicies;
  origin = '';
  #folder = '';
  #tls!: LoopbackTls;
  #server!: Server;

  static async start(options: Partial<DataPlaneOptions> = {}): Promise<DataPlaneServer> {
    const started = new DataPlaneServer();
    started.#folder = await mkdtemp(join(tmpdir(), 'holdfast-dataplane-'));
    started.#tls = await ensureTls(join(started.#folder, 'tls'));
    await started.#open(options);
    return started;
  }

  async stop(): Promise<void> {
    await this.#close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Closes everything and starts it anew on the same folder. */
  async restart(): Promise<void> {
    await this.#close();
    await this.#open({});
  }

  /** Grants access to a snapshot (with the time it was taken) or to a disk. Snapshots of a container are told apart by their time. */
  grant(
    target: string,
    access: 'Read' | 'Write' = 'Read',
    more: { container?: string; hours?: number; requiresToken?: boolean } = {},
  ): IssuedGrant {
    const { kind, createdAt } = this.store.describe(target);
    const time = kind === 'snapshot' ? snapshotTime(createdAt) : undefined;
    return this.policies.grant({
      target,
      access,
      container: more.container ?? 'md-family1',
      expiresAt: new Date(this.clock.time + (more.hours ?? 1) * 3_600_000),
      ...(time && { snapshotTime: time }),
      ...(more.requiresToken && { requiresToken: true }),
    });
  }

  /** Takes a snapshot a second later than whatever was before. */
  async snapshot(disk: string, snapshot: string): Promise<void> {
    this.clock.time += 1000;
    await this.store.snapshot(disk, snapshot);
  }

  url(grant: IssuedGrant): string {
    return this.origin + grant.pathAndQuery;
  }

  /** The official client; retries off, so that a test sees every answer. */
  client(grant: IssuedGrant, options: StoragePipelineOptions = {}): PageBlobClient {
    return new PageBlobClient(this.url(grant), new AnonymousCredential(), {
      retryOptions: { maxTries: 1 },
      ...this.trust(),
      ...options,
    });
  }

  get caPem(): string {
    return this.#tls.caPem;
  }

  trust(): StoragePipelineOptions {
    return { tlsOptions: { ca: this.#tls.caPem } } as StoragePipelineOptions;
  }

  /** One request as bytes. Rejects when the connection breaks. */
  raw(
    pathAndQuery: string,
    init: {
      method?: string;
      headers?: Record<string, string>;
      body?: Uint8Array;
      beforeBody?: () => void;
    } = {},
  ): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const url = new URL(this.origin + pathAndQuery);
      const outgoing = request(url, {
        method: init.method ?? 'GET',
        ca: this.#tls.caPem,
        headers: { 'x-ms-version': '2021-04-10', ...init.headers },
        agent: false,
      });
      outgoing.once('error', reject);
      outgoing.once('response', (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.once('error', reject);
        incoming.once('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: Buffer.concat(parts),
          }),
        );
      });
      const { beforeBody } = init;
      if (!beforeBody) outgoing.end(init.body);
      // With `Expect: 100-continue`: the server has let the request in and waits for the body.
      outgoing.once('continue', () => {
        beforeBody?.();
        outgoing.end(init.body);
      });
    });
  }

  async #open(options: Partial<DataPlaneOptions>): Promise<void> {
    this.store = await openDiskStore(join(this.#folder, 'disks'), { clock: this.clock });
    this.policies = openAccessPolicies(join(this.#folder, 'policies'), this.clock);
    const plane = createDataPlane({
      store: this.store,
      policies: this.policies,
      clock: this.clock,
      faults: this.faults,
      log: (entry) => this.log.push(entry),
      ...options,
    });
    this.#server = createServer({ cert: this.#tls.certPem, key: this.#tls.keyPem }, (message, response) => {
      void plane
        .handle(message, response)
        .then((handled) => handled || response.writeHead(404).end('not a disk'));
    });
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.origin = `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.store.close();
  }
}
