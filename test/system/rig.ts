/**
 * The whole system as processes, in a state folder of its own: what `npm start` runs, with a subscription of small machines.
 * Faults and clocks are the simulator's own; a test waits for what it sees from outside, through the API, the admin API and
 * the logs.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenCredential } from '@azure/core-auth';
import { AzureBlobStore, KeyVaultSecrets } from '../../lib/azure/index.ts';
import { MiB, type RestorePoint, restorePointName } from '../../lib/model/index.ts';
import { type CheckResult, checkRepository } from '../../lib/repository/index.ts';
import type { LocalApi, SessionAnswer } from '../../local/api.ts';
import type { AdminClient } from '../../local/azure/index.ts';
import { DEMO } from '../../local/demo/subscription.ts';
import { NAMES } from '../../local/deployment.ts';
import { StateFolder } from '../../local/stateFolder.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { addMachine, digestOf, GuestDisk } from './smallMachine.ts';
import { until } from './until.ts';

export const API_VERSION = '2026-11-01';
/** Long enough for a machine with two cores that does other things too. */
export const SESSION_MS = 100_000;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

export interface Order {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Query instead of `api-version` alone. */
  readonly query?: string;
}

/** Machines of a rig: sizes in bytes of their disks, the OS disk first. */
export type Machines = Readonly<Record<string, readonly number[]>>;

export class Rig {
  readonly state: StateFolder;
  readonly masterKey = randomBytes(24).toString('base64url');
  /** By machine. */
  readonly disks: Readonly<Record<string, readonly GuestDisk[]>>;
  readonly settings: Readonly<Record<string, string>>;
  #admin: AdminClient | undefined;
  #system: LocalSystem | undefined;

  private constructor(machines: Machines, settings: Readonly<Record<string, string>>) {
    this.state = new StateFolder(mkdtempSync(join(tmpdir(), 'holdfast-system-')));
    this.settings = {
      HOLDFAST_MASTER_KEY: this.masterKey,
      HOLDFAST_POLL_SECONDS: '0.2',
      HOLDFAST_BLOCK_BYTES: '262144',
      HOLDFAST_TELEMETRY_FILE: this.state.file('telemetry.jsonl'),
      ...settings,
    };
    this.disks = Object.fromEntries(
      Object.entries(machines).map(([name, sizes]) => [
        name,
        sizes.map(
          (size, i) => new GuestDisk(() => this.admin, i === 0 ? `${name}-os` : `${name}-data${i}`, size),
        ),
      ]),
    );
  }

  static async start(machines: Machines, settings: Readonly<Record<string, string>> = {}): Promise<Rig> {
    const rig = new Rig(machines, settings);
    try {
      await rig.start();
      for (const disk of Object.values(rig.disks).flat()) {
        // Nothing compresses, and no two blocks are equal: what is read is what is stored.
        await disk.write(MiB, randomBytes(Math.floor(disk.bytes.length / MiB / 2) * MiB));
      }
      return rig;
    } catch (error) {
      await rig.end();
      throw error;
    }
  }

  /** Starts the system on the state folder, as the next `npm start` does. */
  async start(): Promise<void> {
    this.#system = await startSystem(this.state, {
      populate: async (admin) => {
        for (const [name, disks] of Object.entries(this.disks)) await addMachine(admin, name, disks);
      },
      settings: this.settings,
    });
    this.#admin = this.#system.admin;
  }

  /** The simulator of a run on the same folder that this rig has not started. */
  attach(admin: AdminClient): void {
    this.#admin = admin;
  }

  /** As Ctrl-C does. Answers with what did not stop by itself. */
  async stop(): Promise<string[]> {
    const system = this.#system;
    this.#system = undefined;
    return (await system?.stop()) ?? [];
  }

  /** Stops what runs and removes everything. */
  async end(): Promise<void> {
    await this.stop();
    rmSync(this.state.path, { recursive: true, force: true });
  }

  get system(): LocalSystem {
    if (!this.#system) throw new Error('The system does not run.');
    return this.#system;
  }
  get admin(): AdminClient {
    if (!this.#admin) throw new Error('The simulator does not run.');
    return this.#admin;
  }
  get api(): LocalApi {
    return this.system.api;
  }

  /** One call of the HTTP API with the function key; `path` is below `/api/`. */
  async call(method: string, path: string, order: Order = {}): Promise<Answer> {
    const response = await fetch(
      `${this.system.url}/api/${path}?${order.query ?? `api-version=${API_VERSION}`}`,
      {
        method,
        headers: { 'x-functions-key': this.system.key, ...order.headers },
        ...(order.body === undefined
          ? {}
          : { body: typeof order.body === 'string' ? order.body : JSON.stringify(order.body) }),
        signal: AbortSignal.timeout(60_000),
      },
    );
    const text = await response.text();
    let body: unknown = text;
    try {
      body = JSON.parse(text);
    } catch {
      // Shown as it is.
    }
    return { status: response.status, headers: response.headers, body };
  }

  /** Runs the sweep now, as its timer does. */
  async sweep(): Promise<void> {
    const { status } = await fetch(`${this.system.url}/admin/functions/sweep`, {
      method: 'POST',
      headers: { 'x-functions-key': this.masterKey, 'content-type': 'application/json' },
      body: '{}',
    });
    if (status !== 202) throw new Error(`The sweep was not started: ${status}.`);
  }

  /** Starts a backup and follows it to its end. */
  async backUp(machine: string, mover: 'worker' | 'inline'): Promise<SessionAnswer> {
    return this.api.wait(await this.api.startBackup({ machine, mover }), SESSION_MS);
  }

  async pointOf(session: SessionAnswer): Promise<RestorePoint> {
    const found = (await this.api.points(session.machineName ?? '')).find(
      ({ chainId, sequence }) =>
        chainId === session.restorePoint?.chainId && sequence === session.restorePoint.sequence,
    );
    if (!found) throw new Error(`Session ${session.id} made no restore point: ${JSON.stringify(session)}`);
    return found;
  }

  /** Restores a point to new disks; their digests, in the order of the machine's disks. */
  async restoredDigests(
    point: RestorePoint,
    namePrefix: string,
    mover: 'worker' | 'inline' = 'worker',
  ): Promise<string[]> {
    const order = { restorePoint: restorePointName(point), namePrefix, mover };
    const id = await this.api.startRestore(order);
    const session = await this.api.wait(id, SESSION_MS);
    if (session.status !== 'succeeded') throw new Error(`The restore ended ${JSON.stringify(session)}`);
    const created = session.createdDisks ?? [];
    const disks = this.disks[point.machineName] ?? [];
    return Promise.all(
      disks.map(({ name }) => {
        const number = point.disks.find((disk) => disk.name === name)?.number;
        const made = created.find((disk) => disk.number === number);
        if (!made) throw new Error(`Nothing was restored of ${name}.`);
        return digestOf(this.admin, made.diskId);
      }),
    );
  }

  digests(machine: string): string[] {
    return (this.disks[machine] ?? []).map((disk) => disk.digest());
  }

  /** Resolves when no SAS is active and no worker VM or guest runs. */
  async everythingReleased(ms = 30_000): Promise<void> {
    await until(
      'every SAS revoked and every worker at rest',
      async () => (await this.left()).length === 0,
      ms,
    ).catch(async (error: unknown) => {
      throw new Error(`Left: ${(await this.left()).join(', ')}`, { cause: error });
    });
  }

  /** What costs money or opens data: SAS, guests. */
  async left(): Promise<string[]> {
    const grants = await this.admin.call('activeGrants');
    const guests = await this.admin.call('runningGuests');
    return [
      ...grants.map(({ id }) => `a SAS of ${id}`),
      ...guests.map(({ machineId }) => `the guest of ${machineId}`),
    ];
  }

  /** A token of somebody of the tenant who is nobody to Holdfast, with the roles named (`role` at `scope`). */
  credential(principalId: string): TokenCredential {
    return {
      getToken: async (scopes) => {
        const resource = ([scopes].flat()[0] ?? '').replace(/\/\.default$/, '');
        const { token, expiresOn } = await this.admin.call('issueToken', { principalId, resource });
        return { token, expiresOnTimestamp: expiresOn * 1000 };
      },
    };
  }

  /** An auditor: may read the vault's secrets and, in Azurite, the containers. */
  async auditor(): Promise<TokenCredential> {
    const { objectId } = await this.admin.call('addPrincipal', {
      name: 'auditor',
      objectId: '7d1c6f2e-0b54-4c3e-9a6f-3d0de30000aa',
    });
    const { id } = await this.vault();
    await this.admin.call('assignRole', { principalId: objectId, role: 'Key Vault Secrets User', scope: id });
    return this.credential(objectId);
  }

  vault(): Promise<{ id: string; url: string }> {
    return this.admin.call('addKeyVault', {
      subscription: DEMO.subscriptionId,
      group: DEMO.appResourceGroup,
      name: 'holdfast',
    });
  }

  async secret(name: string): Promise<string> {
    return new KeyVaultSecrets((await this.vault()).url, await this.auditor()).getSecret(name);
  }

  /** The containers of the repository, as the auditor sees them, and what opens them. */
  async repository() {
    const { ports } = this.state.read('run.json') as { ports: { blob: number } };
    const credential = await this.auditor();
    const store = (name: string) =>
      AzureBlobStore.withCredential(`https://127.0.0.1:${ports.blob}/holdfastrepo/${name}`, credential);
    const password = await this.secret(NAMES.passwordSecret);
    return { meta: store(NAMES.meta), data: store(NAMES.data), unlock: { password } };
  }

  /** The checker's word on the whole repository, every block decoded. */
  async check(): Promise<CheckResult> {
    return checkRepository({ ...(await this.repository()), depth: 'content' });
  }
}
