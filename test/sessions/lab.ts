/**
 * Everything but the Functions host, in one process: the Azure simulator and a real Azurite behind the real adapters, the
 * steps of sessions as activities call them, and orchestrators driven by `runOrchestrator`.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { activities } from '../../activities/index.ts';
import type { Outcome } from '../../activities/names.ts';
import { AzureBlobStore, appCredential, KeyVaultSecrets } from '../../lib/azure/index.ts';
import { makeInstallation } from '../../lib/installation/index.ts';
import type { Installation } from '../../lib/installation/installation.ts';
import { type Clock, type Machine, MiB, protectionSchema, type Session } from '../../lib/model/index.ts';
import { checkRepository } from '../../lib/repository/index.ts';
import {
  type Instances,
  type MaintenanceRequest,
  needMachine,
  type RestoreAsked,
  requestBackup,
  requestMaintenance,
  requestRestore,
} from '../../lib/sessions/index.ts';
import { MemoryTelemetry } from '../../lib/telemetry/index.ts';
import { AzureSimulator } from '../../local/azure/index.ts';
import { WormBlobService } from '../../local/azure/worm/index.ts';
import { applyRetention } from '../../orchestrators/applyRetention.ts';
import { archiveMachine } from '../../orchestrators/archiveMachine.ts';
import { backUpMachine } from '../../orchestrators/backUpMachine.ts';
import { checkRepository as checkRepositoryNow } from '../../orchestrators/checkRepository.ts';
import { collectGarbage } from '../../orchestrators/collectGarbage.ts';
import { removeData } from '../../orchestrators/removeData.ts';
import { rescanRepository } from '../../orchestrators/rescanRepository.ts';
import { restoreDisks } from '../../orchestrators/restoreDisks.ts';
import { runPolicy } from '../../orchestrators/runPolicy.ts';
import { tendSnapshots } from '../../orchestrators/tendSnapshots.ts';
import { type Azurite, startAzurite } from '../support/azurite.ts';
import { type Orchestrator, runOrchestrator, Terminated } from './runOrchestrator.ts';

export const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';
export const GROUP = 'protected';
export const WORKERS = 'workers';
const LOCATION = 'westeurope';
const ORCHESTRATORS: Readonly<Record<string, Orchestrator>> = {
  applyRetention,
  archiveMachine,
  backUpMachine,
  checkRepository: checkRepositoryNow,
  collectGarbage,
  removeData,
  rescanRepository,
  restoreDisks,
  runPolicy,
  tendSnapshots,
};

/** Real time, that a test can move on: sleeping is moving on. */
export class LabClock implements Clock {
  #offset = 0;
  now(): Date {
    return new Date(Date.now() + this.#offset);
  }
  advance(ms: number): void {
    this.#offset += ms;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal) {
      // Heartbeats: end with the work that they are for.
      return new Promise((_, reject) => {
        if (signal.aborted) reject(signal.reason as Error);
        else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    }
    this.advance(ms);
    return Promise.resolve();
  }
}

interface Instance {
  readonly orchestrator: string;
  readonly input: unknown;
  state: 'pending' | 'running' | 'ended';
}

export class Lab {
  readonly clock: LabClock;
  readonly azurite: Azurite;
  readonly simulator: AzureSimulator;
  /** Where blobs are when the lab was started with it: a service whose containers can lock versions, on the lab's clock. */
  readonly worm: WormBlobService | null;
  readonly telemetry = new MemoryTelemetry();
  readonly installation: Installation;
  readonly env: NodeJS.ProcessEnv;
  /** Called before each activity; throws `Terminated` to end the orchestration there, as an operator would. */
  beforeActivity: (name: string, input: unknown) => void | Promise<void> = () => undefined;
  /** Names of activities in the order they were done. */
  readonly done: string[] = [];
  readonly #instances = new Map<string, Instance>();
  readonly #folder: string;

  readonly instances: Instances = {
    state: async (id) => {
      const known = this.#instances.get(id);
      return known ? (known.state === 'ended' ? 'ended' : 'running') : 'missing';
    },
    start: async (orchestrator, id, input) => {
      if (!this.#instances.has(id)) this.#instances.set(id, { orchestrator, input, state: 'pending' });
    },
  };

  private constructor(parts: {
    clock: LabClock;
    azurite: Azurite;
    simulator: AzureSimulator;
    worm: WormBlobService | null;
    env: NodeJS.ProcessEnv;
    folder: string;
  }) {
    this.clock = parts.clock;
    this.azurite = parts.azurite;
    this.simulator = parts.simulator;
    this.worm = parts.worm;
    this.env = parts.env;
    this.#folder = parts.folder;
    this.installation = makeInstallation(parts.env, this.telemetry, parts.clock);
  }

  static async start(
    settings: Record<string, string> = {},
    { immutable = false }: { readonly immutable?: boolean } = {},
  ): Promise<Lab> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-lab-'));
    const clock = new LabClock();
    const azurite = await startAzurite();
    const simulator = await AzureSimulator.start({
      stateFolder: folder,
      clock,
      // Tests take more snapshots of a disk in a minute than operators do in a day.
      settings: { limits: { snapshotsPerDiskIn5Minutes: 500 } },
    });
    setDefaultCACertificates([...getCACertificates('default'), simulator.tls.caPem]);
    simulator.addSubscription({ subscriptionId: SUBSCRIPTION, displayName: 'Lab' });
    for (const name of [GROUP, WORKERS])
      simulator.addResourceGroup({ subscription: SUBSCRIPTION, name, location: LOCATION });
    const app = simulator.addPrincipal({ name: 'app' }).objectId;
    const scope = (group: string) => `/subscriptions/${SUBSCRIPTION}/resourceGroups/${group}`;
    for (const role of ['Holdfast Protect', 'Holdfast Restore', 'Holdfast Guest'])
      simulator.assignRole({ principalId: app, role, scope: scope(GROUP) });
    simulator.assignRole({
      principalId: app,
      role: 'Holdfast Protect',
      scope: `/subscriptions/${SUBSCRIPTION}`,
    });
    simulator.assignRole({ principalId: app, role: 'Holdfast Worker', scope: scope(WORKERS) });
    const vault = simulator.addKeyVault({ subscription: SUBSCRIPTION, group: WORKERS, name: 'secrets' });
    for (const role of ['Key Vault Secrets User', 'Key Vault Crypto Service Encryption User'])
      simulator.assignRole({ principalId: app, role, scope: vault.id });
    await putSecrets(simulator, vault);
    const { header } = simulator.registerApp({ name: 'app', systemAssigned: app });
    process.env['IDENTITY_ENDPOINT'] = simulator.identityEndpoint;
    process.env['IDENTITY_HEADER'] = header;
    const { certPem, keyPem } = simulator.tls;
    const worm = immutable ? await WormBlobService.start({ tls: { certPem, keyPem }, clock }) : null;
    const blobUrl = (account: 'holdfastapp' | 'holdfastrepo') =>
      worm ? `${worm.url}/${account}` : azurite.blobUrl(account);
    const env = {
      HOLDFAST_INSTALLATION_ID: 'lab',
      HOLDFAST_SUBSCRIPTION_IDS: SUBSCRIPTION,
      HOLDFAST_LOCATION: LOCATION,
      HOLDFAST_TENANT_ID: simulator.tenantId,
      HOLDFAST_ARM_ENDPOINT: simulator.url,
      HOLDFAST_AUTHORITY_HOST: simulator.url,
      HOLDFAST_TABLE_ENDPOINT: azurite.tableUrl('holdfastapp'),
      HOLDFAST_BLOB_ENDPOINT: blobUrl('holdfastapp'),
      HOLDFAST_REPOSITORY_ENDPOINT: blobUrl('holdfastrepo'),
      HOLDFAST_KEY_VAULT_URL: vault.url,
      HOLDFAST_WORKER_RESOURCE_GROUP: WORKERS,
      HOLDFAST_WORKER_AUDIENCE: 'api://holdfast-lab',
      HOLDFAST_APP_URL: 'https://127.0.0.1:1',
      HOLDFAST_POLL_SECONDS: '1',
      HOLDFAST_BLOCK_BYTES: '262144',
      ...settings,
    };
    const lab = new Lab({ clock, azurite, simulator, worm, env, folder });
    for (const store of [lab.meta, lab.data, lab.installation.staging, lab.installation.packages]) {
      await (store as AzureBlobStore).ensureContainer();
    }
    return lab;
  }

  async stop(): Promise<void> {
    await this.simulator.stop();
    await this.worm?.stop();
    await this.azurite.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get meta(): AzureBlobStore {
    return AzureBlobStore.withCredential(
      `${this.env['HOLDFAST_REPOSITORY_ENDPOINT']}/holdfast-meta`,
      this.azurite.credential(),
    );
  }
  get data(): AzureBlobStore {
    return AzureBlobStore.withCredential(
      `${this.env['HOLDFAST_REPOSITORY_ENDPOINT']}/holdfast-data`,
      this.azurite.credential(),
    );
  }

  /** A VM with an OS disk of 64 MiB and as many data disks of 32 MiB, with some random content. */
  async machine(name: string, dataDisks = 0): Promise<Machine> {
    await this.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name,
      location: LOCATION,
      osDisk: { sizeBytes: 64 * MiB },
      dataDisks: Array.from({ length: dataDisks }, () => ({ sizeBytes: 32 * MiB })),
    });
    const machine = await needMachine(this.installation, name);
    const { disks } = await this.installation.azure.machines.readConfiguration(machine.armId);
    for (const disk of disks) await this.write(disk.id, MiB, randomBytes(3 * MiB));
    return machine;
  }

  write(diskId: string, offset: number, data: Buffer): Promise<void> {
    return this.simulator.writeDisk({ diskId, offset, data });
  }

  /** All bytes of a disk or snapshot. */
  async bytes(id: string): Promise<Buffer> {
    const { sizeBytes } = this.simulator.describeDisk({ diskId: id });
    return this.simulator.readDisk({ diskId: id, offset: 0, length: sizeBytes });
  }

  /** Grows a disk to so many GiB, as an operator would. */
  async grow(diskId: string, gib: number): Promise<void> {
    const owner = this.simulator.addPrincipal({ name: 'owner' }).objectId;
    this.simulator.assignRole({ principalId: owner, role: 'Owner', scope: `/subscriptions/${SUBSCRIPTION}` });
    const { ComputeManagementClient } = await import('@azure/arm-compute');
    const client = new ComputeManagementClient(this.simulator.credential(owner), SUBSCRIPTION, {
      endpoint: this.simulator.url,
    });
    await client.disks.update(GROUP, diskId.split('/').at(-1) ?? '', { diskSizeGB: gib });
  }

  /** Loses Table Storage: every row of what the repository can give back. */
  async forgetCatalog(): Promise<this> {
    const { TableClient } = await import('@azure/data-tables');
    for (const name of ['holdfastChains', 'holdfastPoints', 'holdfastInstallation']) {
      const table = new TableClient(this.azurite.tableUrl('holdfastapp'), name, this.azurite.credential());
      for await (const { partitionKey = '', rowKey = '' } of table.listEntities())
        await table.deleteEntity(partitionKey, rowKey);
    }
    return this;
  }

  /** Every scenario ends with the repository checker. */
  async check(): Promise<void> {
    const { meta, data } = await this.installation.repository();
    const password = await this.#password();
    const report = await checkRepository({ meta, data, unlock: { password }, depth: 'content' });
    if (report.findings.length > 0)
      throw new Error(`The repository is damaged: ${JSON.stringify(report.findings)}`);
  }

  async #password(): Promise<string> {
    const vault = new KeyVaultSecrets(this.installation.settings.HOLDFAST_KEY_VAULT_URL, appCredential());
    return vault.getSecret(this.installation.settings.HOLDFAST_PASSWORD_SECRET);
  }

  /** Asks for a backup and runs it, and what it starts, to the end. Returns the session as it then is. */
  async backUp(machine: Machine, restorePoints = 14, snapshots = 2): Promise<Session> {
    const session = await this.request(machine, restorePoints, snapshots);
    await this.run();
    return this.session(session.id);
  }

  request(machine: Machine, restorePoints = 14, snapshots = 2): Promise<Session> {
    return requestBackup(this.installation, this.instances, {
      machine,
      protection: protectionSchema.parse({
        mover: 'inline',
        retention: { keep: { daily: { points: restorePoints } } },
        snapshots: { retention: { keep: { daily: { points: snapshots } } } },
      }),
      reason: 'test',
      policyId: null,
      parentId: null,
    });
  }

  async restore(asked: RestoreAsked): Promise<Session> {
    const session = await requestRestore(this.installation, this.instances, { mover: 'inline', ...asked });
    await this.run();
    return this.session(session.id);
  }

  async maintain(request: MaintenanceRequest): Promise<Session> {
    const session = await requestMaintenance(this.installation, this.instances, request, 'test');
    await this.run();
    return this.session(session.id);
  }

  async session(id: string): Promise<Session> {
    const session = await this.installation.catalog.sessions.get(id);
    if (!session) throw new Error(`There is no session ${id}.`);
    return session;
  }

  /** Runs all instances that were started, and those that they start. */
  async run(): Promise<void> {
    for (;;) {
      const next = [...this.#instances].find(([, instance]) => instance.state === 'pending');
      if (!next) return;
      await this.#runInstance(next[1]);
    }
  }

  /** As if its history were purged: nobody knows it any more. */
  purge(instanceId: string): void {
    this.#instances.delete(instanceId);
  }

  async #runInstance(instance: Instance): Promise<void> {
    instance.state = 'running';
    const orchestrator = ORCHESTRATORS[instance.orchestrator];
    if (!orchestrator) throw new Error(`There is no orchestrator ${instance.orchestrator}.`);
    const world = {
      activity: (name: string, input: unknown) => this.activity(name, input),
      now: () => this.clock.now(),
      wait: async (until: Date) =>
        this.clock.advance(Math.max(0, until.getTime() - this.clock.now().getTime())),
    };
    try {
      await runOrchestrator(orchestrator, instance.input, world);
    } catch (error) {
      if (!(error instanceof Terminated)) throw error;
    } finally {
      instance.state = 'ended';
    }
  }

  async activity(name: string, input: unknown): Promise<Outcome<unknown>> {
    await this.beforeActivity(name, input);
    const found = activities.find((activity) => activity.name === name);
    if (!found) throw new Error(`There is no activity ${name}.`);
    const outcome = await found.perform(
      { installation: this.installation, instances: this.instances },
      input,
    );
    this.done.push(name);
    return outcome;
  }
}

async function putSecrets(simulator: AzureSimulator, vault: { id: string; url: string }): Promise<void> {
  const { SecretClient } = await import('@azure/keyvault-secrets');
  const officer = simulator.addPrincipal({ name: 'operator' }).objectId;
  simulator.assignRole({ principalId: officer, role: 'Key Vault Secrets Officer', scope: vault.id });
  const client = new SecretClient(vault.url, simulator.credential(officer), {
    disableChallengeResourceVerification: true,
  });
  await client.setSecret('holdfast-repository-password', randomBytes(18).toString('base64'));
  await client.setSecret('holdfast-installation-key', randomBytes(32).toString('base64'));
}
