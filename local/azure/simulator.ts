/** The Azure simulator as one object: its servers, what to seed it with, and what a test asks it. See README.md. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { startAdmin } from './admin.ts';
import { ArmApp, type ArmCore } from './arm/app.ts';
import { DiskRecords } from './arm/diskRecords.ts';
import { type DiskServices, diskRoutes } from './arm/disks.ts';
import { Grants } from './arm/grants.ts';
import { groupId, resourceId } from './arm/ids.ts';
import { Locks, type ManagementLock } from './arm/locks.ts';
import { type MachineRecord, MachineRecords } from './arm/machineRecords.ts';
import { type MachineServices, removeMachine } from './arm/machineServices.ts';
import { machineRoutes } from './arm/machines.ts';
import { ManagementGroups, managementGroupRoutes } from './arm/managementGroups.ts';
import { networkRoutes } from './arm/network.ts';
import { NetworkRecords } from './arm/networkRecords.ts';
import { operationRoutes } from './arm/operationRoutes.ts';
import { type ResourceGroupRecord, ResourceGroups } from './arm/resourceGroupRecords.ts';
import { resourceGroupRoutes } from './arm/resourceGroups.ts';
import { resourceListRoutes } from './arm/resourceList.ts';
import { restorePointRoutes } from './arm/restorePoints.ts';
import { GuestAgents, type RanScript, runCommandRoutes } from './arm/runCommands.ts';
import { type Shortage, Sizes, sizeRoutes } from './arm/sizes.ts';
import { snapshotRoutes } from './arm/snapshots.ts';
import { type SubscriptionRecord, Subscriptions } from './arm/subscriptionRecords.ts';
import { subscriptionRoutes } from './arm/subscriptions.ts';
import { tagRoutes } from './arm/tagRoutes.ts';
import { AdjustableClock, type SimulatorClock } from './clock.ts';
import {
  type AccessPolicies,
  createDataPlane,
  type DiskStore,
  FaultScript,
  openAccessPolicies,
  openDiskStore,
} from './disks/index.ts';
import { type Fault, type FaultOrder, Faults } from './faults.ts';
import { GuestHost } from './guest/host.ts';
import { AppIdentities, type AppIdentity, startIdentityEndpoint } from './identity.ts';
import { MetadataServices, type ScheduledEvent } from './imds.ts';
import { KeyVaults } from './keyVault.ts';
import { Limits } from './limits.ts';
import { WriteLock } from './lock.ts';
import { Operations } from './operations.ts';
import { type LoggedRequest, RequestLog } from './requestLog.ts';
import { type RoleAssignment, type RoleDefinition, Roles } from './roles.ts';
import { type SeedDisk, type SeedMachine, seedDisk, seedMachine } from './seed.ts';
import { portOf, startServer } from './server.ts';
import { mergeSettings, type SettingsOverride, type SimulatorSettings } from './settings.ts';
import { StateStore } from './state.ts';
import {
  Delegation,
  FOOTER_BYTES,
  type PageBlobRecord,
  StorageAccounts,
  StoragePlane,
} from './storage/index.ts';
import { ensureTls, type LoopbackTls } from './tls.ts';
import { type IssuedToken, type Principal, Tokens } from './tokens.ts';

export interface SimulatorOptions {
  /** Everything that survives a restart, and the guests. One simulator at a time. */
  stateFolder: string;
  /** Where the certificates are; default `<stateFolder>/tls`. */
  tlsFolder?: string;
  /** 0 or absent: free ports. */
  ports?: { https?: number; identity?: number; admin?: number };
  /** Default: the system's time plus what `advanceClock` has moved it, over all restarts. */
  clock?: SimulatorClock;
  settings?: SettingsOverride;
}

const SETTLE_EVERY_MS = 200;

export class AzureSimulator {
  readonly faults = new Faults();
  /** Faults below the HTTP surface of the data plane: busy, fragmented, stalled, truncated. */
  readonly diskFaults = new FaultScript();
  readonly settings: SimulatorSettings;
  readonly tls: LoopbackTls;
  readonly log: RequestLog;
  readonly roles: Roles;
  readonly tokens: Tokens;
  readonly guests: GuestHost;
  readonly store: DiskStore;
  readonly policies: AccessPolicies;
  readonly adminKey = randomBytes(24).toString('base64url');
  private readonly clock: SimulatorClock;
  private readonly state: StateStore;
  private readonly core: ArmCore;
  private readonly machineServices: MachineServices;
  private readonly managementGroups: ManagementGroups;
  private readonly storage: StorageAccounts;
  private readonly agents: GuestAgents;
  private readonly vaults: KeyVaults;
  private readonly apps: AppIdentities;
  private readonly metadata: MetadataServices;
  private servers: { https: Server; identity: Server; admin: Server } | undefined;
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    options: SimulatorOptions,
    parts: { state: StateStore; clock: SimulatorClock; tls: LoopbackTls; tokens: Tokens; store: DiskStore },
  ) {
    const { state, clock, tls, tokens, store } = parts;
    const folder = options.stateFolder;
    const base = () => this.url;
    this.state = state;
    this.clock = clock;
    this.tls = tls;
    this.tokens = tokens;
    this.store = store;
    this.settings = mergeSettings(options.settings);
    const { limits } = this.settings;
    this.log = new RequestLog(folder);
    this.managementGroups = new ManagementGroups(state);
    this.roles = new Roles(state, (scope) => this.managementGroups.above(scope));
    this.policies = openAccessPolicies(join(folder, 'disks'), clock);
    this.core = {
      roles: this.roles,
      limits: new Limits(clock, limits),
      lock: new WriteLock(),
      operations: new Operations(state, clock, this.settings.operations),
      subscriptions: new Subscriptions(state),
      groups: new ResourceGroups(state),
      locks: new Locks(state),
      base,
    };
    const app = new ArmApp(this.core);
    const disks = new DiskRecords(state, store, clock);
    this.agents = new GuestAgents(state);
    this.storage = new StorageAccounts(state, store, clock);
    const machines = new MachineRecords(state);
    const network = new NetworkRecords(state);
    const sizes = new Sizes(state, machines, limits);
    const watch = { faults: this.faults, log: this.log, now: () => clock.now() };
    this.metadata = new MetadataServices(watch, machines, tokens);
    this.guests = new GuestHost({
      folder: join(folder, 'guests'),
      metadataUrl: (machine) => this.metadata.url(machine.id),
      caFile: tls.caFile,
      stopGraceMs: this.settings.guests.stopGraceMs,
    });
    this.machineServices = {
      app,
      machines,
      disks,
      network,
      sizes,
      storage: this.storage,
      tokens,
      guests: this.guests,
      clock,
      limits,
    };
    this.vaults = new KeyVaults(state, { tokens, roles: this.roles, clock, base });
    this.apps = new AppIdentities(state, tokens);
    const runningMachineOf = (record: { managedBy?: string }) => {
      const machine = record.managedBy === undefined ? undefined : machines.get(record.managedBy);
      return machine && machine.power !== 'deallocated' ? machine.name : undefined;
    };
    const grants = new Grants({
      app,
      records: disks,
      policies: this.policies,
      clock,
      limits,
      runningMachineOf: (record) => runningMachineOf(record as { managedBy?: string }),
    });
    const deallocated = (id: string) => machines.get(id)?.power === 'deallocated';
    const diskServices: DiskServices = {
      app,
      records: disks,
      grants,
      clock,
      limits,
      deallocated,
      backgroundCopyMs: () => this.settings.operations.backgroundCopyMs,
    };

    subscriptionRoutes(app);
    managementGroupRoutes(app, this.managementGroups);
    resourceGroupRoutes(app, limits.tags, (group) => this.emptyGroup(group));
    tagRoutes({ app, state, disks, machines, network, tagLimit: limits.tags });
    resourceListRoutes({ app, disks, machines, network });
    diskRoutes(diskServices);
    snapshotRoutes(diskServices);
    machineRoutes(this.machineServices);
    runCommandRoutes({ app, machines, disks, clock, guests: this.agents });
    restorePointRoutes({
      app,
      state,
      machines,
      disks,
      grants,
      sizes,
      clock,
      limits,
      agentPresent: (machineId) => this.agents.isPresent(machineId),
    });
    networkRoutes({ app, network, machines, tagLimit: limits.tags });
    sizeRoutes(app, sizes);
    operationRoutes(app);
  }

  /** Opens the state, starts the servers, and boots the machines that were running. */
  static async start(options: SimulatorOptions): Promise<AzureSimulator> {
    const state = new StateStore(options.stateFolder);
    const offsets = state.collection<{ ms: number }>('clockOffset');
    const clock = options.clock ?? new AdjustableClock(offsets.get('clock')?.ms ?? 0);
    const tls = await ensureTls(options.tlsFolder ?? join(options.stateFolder, 'tls'));
    const tokens = await Tokens.open(state);
    const store = await openDiskStore(join(options.stateFolder, 'disks'), { clock });
    const simulator = new AzureSimulator(options, { state, clock, tls, tokens, store });
    await simulator.listen(options.ports ?? {});
    simulator.recover();
    return simulator;
  }

  /** `https://127.0.0.1:port` of ARM, Entra, Key Vault and the data plane. */
  get url(): string {
    return `https://127.0.0.1:${portOf(this.running().https)}`;
  }

  get identityEndpoint(): string {
    return `http://127.0.0.1:${portOf(this.running().identity)}/msi/token`;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${portOf(this.running().admin)}`;
  }

  get tenantId(): string {
    return this.tokens.tenantId;
  }

  now(): Date {
    return this.clock.now();
  }

  /** What another process needs to reach this simulator. `adminKey` and the headers of apps are secrets. */
  endpoints() {
    return {
      armUrl: this.url,
      tenantId: this.tenantId,
      issuer: this.tokens.issuer,
      identityEndpoint: this.identityEndpoint,
      apps: this.apps.list().map(({ name, header }) => ({ name, identityHeader: header })),
      adminUrl: this.adminUrl,
      adminKey: this.adminKey,
      caFile: this.tls.caFile,
    };
  }

  /** Ends guests, servers and files, in that order. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.guests.close();
    this.faults.clear();
    await this.metadata.close();
    for (const server of Object.values(this.running())) {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    }
    await this.core.lock.run(() => undefined);
    await this.machineServices.disks.settled();
    await this.store.close();
    this.log.close();
    this.state.close();
  }

  // ---- Seeding -------------------------------------------------------------------------------------------------------------------

  addSubscription(order: Partial<SubscriptionRecord> & { displayName: string }): SubscriptionRecord {
    return this.core.subscriptions.add({
      subscriptionId: order.subscriptionId ?? randomUUID(),
      displayName: order.displayName,
      tenantId: this.tenantId,
      locations: order.locations ?? ['westeurope', 'northeurope', 'eastus', 'eastus2'],
    });
  }

  /** Adds or replaces a management group, with the subscriptions right below it. The group above comes first. */
  addManagementGroup(order: {
    name: string;
    displayName?: string;
    parent?: string;
    subscriptions?: string[];
  }): { id: string } {
    const { name, parent, displayName = name, subscriptions = [] } = order;
    return this.managementGroups.put({
      name,
      displayName,
      subscriptions,
      ...(parent === undefined ? {} : { parent }),
    });
  }

  addResourceGroup(order: {
    subscription: string;
    name: string;
    location: string;
    tags?: Record<string, string>;
  }): { id: string } {
    const location = this.core.subscriptions.requireLocation(order.subscription, order.location);
    const known = this.core.groups.get(order.subscription, order.name);
    return { id: (known ?? this.core.groups.put(order.subscription, order.name, location, order.tags)).id };
  }

  addPrincipal(order: {
    name: string;
    kind?: Principal['kind'];
    objectId?: string;
    clientId?: string;
    appRoles?: Record<string, string[]>;
  }): Principal {
    return this.tokens.addPrincipal({ kind: 'app', ...order });
  }

  /** An audience of the tenant's own, for which tokens are issued (`api://…` ones need no registration). */
  addAudience(order: { audience: string }): void {
    this.tokens.addAudience(order.audience);
  }

  addUserAssignedIdentity(order: { subscription: string; group: string; name: string }): Principal {
    const id = resourceId(
      order.subscription,
      order.group,
      'Microsoft.ManagedIdentity/userAssignedIdentities',
      order.name,
    );
    const known = this.tokens.principals
      .values()
      .find((principal) => principal.resourceId?.toLowerCase() === id.toLowerCase());
    return known ?? this.tokens.addPrincipal({ name: order.name, kind: 'userAssigned', resourceId: id });
  }

  /** Lets processes with the answered header get tokens of these principals at `identityEndpoint`. */
  registerApp(order: { name: string; systemAssigned?: string; userAssigned?: string[] }): AppIdentity {
    const { name, ...identities } = order;
    return this.apps.register(name, identities);
  }

  defineRole(role: RoleDefinition): void {
    this.roles.define(role);
  }

  assignRole(order: {
    principalId: string;
    role: string;
    scope: string;
    condition?: string;
  }): RoleAssignment {
    return this.roles.assign(order.principalId, order.role, order.scope, order.condition);
  }

  unassignRole(match: { principalId: string; role?: string; scope?: string }): number {
    return this.roles.unassign(match);
  }

  /** Answers the URL for SecretClient (with `disableChallengeResourceVerification: true`). */
  addKeyVault(order: { subscription: string; group: string; name: string }): { id: string; url: string } {
    const id = `${groupId(order.subscription, order.group)}/providers/Microsoft.KeyVault/vaults/${order.name}`;
    return { id: this.vaults.add({ name: order.name, id }).id, url: this.vaults.url(order.name) };
  }

  /** A storage account for page blobs; `premium`: with the limits that Azure sets to snapshots of premium page blobs. */
  addStorageAccount(order: { subscription: string; group: string; name: string; premium?: boolean }): {
    id: string;
    url: string;
  } {
    const { subscription, group, name, premium = false } = order;
    const id = resourceId(subscription, group, 'Microsoft.Storage/storageAccounts', name);
    return { id: this.storage.addAccount({ name, id, premium }).id, url: `${this.url}/${name}` };
  }

  /**
   * Puts another VHD, of the same size and empty, in the place of an unmanaged disk, as somebody does who copies over it. Its snapshots stay.
   * Azure does not say whether the blob keeps its creation time: both can be tried.
   */
  async replacePageBlob(order: { diskId: string; keepCreationTime: boolean }): Promise<void> {
    const record = this.pageBlob(order.diskId);
    const sizeBytes = this.store.describe(record.content).sizeBytes - FOOTER_BYTES;
    await this.storage.putVhd(record, sizeBytes, { keepCreationTime: order.keepCreationTime });
  }

  /** Makes an unmanaged disk larger, as an operator does while the machine is deallocated. */
  async growPageBlob(order: { diskId: string; sizeBytes: number }): Promise<void> {
    await this.storage.grow(this.pageBlob(order.diskId), order.sizeBytes);
  }

  /** The snapshots of an unmanaged disk, oldest first. */
  pageBlobSnapshots(order: { diskId: string }): { time: string; metadata: Record<string, string> }[] {
    return this.pageBlob(order.diskId).snapshots.map(({ time, metadata }) => ({ time, metadata }));
  }

  /** A machine without a guest of its own: what Holdfast protects. Idempotent by name. */
  async addVirtualMachine(order: SeedMachine): Promise<MachineRecord> {
    return this.core.lock.run(() => seedMachine(this.machineServices, order));
  }

  async addDisk(
    order: SeedDisk & { subscription: string; group: string; location: string; name: string },
  ): Promise<{ id: string }> {
    const { subscription, group, location, ...disk } = order;
    const { id } = await this.core.lock.run(() =>
      seedDisk(this.machineServices, undefined, { subscription, group, location }, disk, {}),
    );
    return { id };
  }

  addShortage(shortage: Shortage): void {
    this.machineServices.sizes.addShortage(shortage);
  }

  removeShortage(shortage: Pick<Shortage, 'location' | 'size' | 'zone'>): void {
    this.machineServices.sizes.removeShortage(shortage);
  }

  setCoreQuota(order: { subscription: string; location: string; limit: number }): void {
    this.machineServices.sizes.setQuota(order.subscription, order.location, order.limit);
  }

  /** Locks a scope (a resource, a group, a subscription), as its owner would; again: another level. */
  lockScope(order: ManagementLock): void {
    this.core.locks.set(order);
  }

  unlockScope(order: { scope: string }): void {
    this.core.locks.remove(order.scope);
  }

  // ---- The guests' workload: bytes of a disk by its ARM id, or by its URL ------------------------------------------------------------------------

  async writeDisk(order: { diskId: string; offset: number; data: Uint8Array }): Promise<void> {
    await this.store.write(this.contentOf(order.diskId), order.offset, order.data);
  }

  async clearDisk(order: { diskId: string; offset: number; length: number }): Promise<void> {
    await this.store.clear(this.contentOf(order.diskId), order.offset, order.length);
  }

  /** Also of snapshots. */
  async readDisk(order: { diskId: string; offset: number; length: number }): Promise<Buffer> {
    return this.store.read(this.contentOf(order.diskId), order.offset, order.length);
  }

  /** Size, and bytes that are allocated. */
  describeDisk(order: { diskId: string }): { sizeBytes: number; allocatedBytes: number } {
    const { sizeBytes, allocatedBytes } = this.store.stat(this.contentOf(order.diskId));
    return { sizeBytes: sizeBytes - (isUrl(order.diskId) ? FOOTER_BYTES : 0), allocatedBytes };
  }

  /** Whether the guest has an agent: without one, no run command runs. */
  setGuestAgent(order: { machineId: string; present: boolean }): void {
    this.agents.setPresent(order.machineId, order.present);
  }

  /** What run commands ran in guests, oldest first. */
  guestScripts(order: { machineId?: string } = {}): RanScript[] {
    return this.agents.scripts(order.machineId);
  }

  // ---- Time, faults, log -----------------------------------------------------------------------------------------------------------

  /** Moves the simulator's own clock; throws when a clock was injected. Answers the new time. */
  advanceClock(order: { ms: number }): { now: string } {
    if (!(this.clock instanceof AdjustableClock)) throw new Error('The clock was injected: move that one.');
    const ms = this.clock.advance(order.ms);
    this.state.collection<{ ms: number }>('clockOffset').set('clock', { ms });
    this.core.operations.settle();
    return { now: this.clock.now().toISOString() };
  }

  injectFault(order: FaultOrder): { id: string } {
    return { id: this.faults.inject(order) };
  }

  listFaults(): Fault[] {
    return this.faults.list();
  }

  releaseFault(order: { id: string }): void {
    this.faults.release(order.id);
  }

  clearFaults(order: { id?: string } = {}): void {
    this.faults.clear(order.id);
  }

  /** `path` is a regular expression. */
  requests(
    match: {
      path?: string;
      surface?: LoggedRequest['surface'];
      method?: string;
      principal?: string;
      status?: number;
    } = {},
  ): LoggedRequest[] {
    const { path, ...exact } = match;
    return this.log.query({ ...exact, ...(path === undefined ? {} : { path: new RegExp(path, 'i') }) });
  }

  scheduleEvent(order: { machineId: string; event: ScheduledEvent }): void {
    this.metadata.schedule(order.machineId, order.event);
  }

  /** SAS that are neither revoked nor expired. */
  activeGrants(): { id: string; access: string; expiresAt: string }[] {
    const { disks } = this.machineServices;
    return [...disks.disks.values(), ...disks.snapshots.values()].flatMap((record) => {
      const grant = disks.activeGrant(record);
      return grant
        ? [{ id: record.id, access: grant.access, expiresAt: new Date(grant.expiresAt).toISOString() }]
        : [];
    });
  }

  /** Machines whose guest runs, with its process group. */
  runningGuests(): { machineId: string; pid: number | undefined; console: string }[] {
    return this.guests.running().map((machineId) => {
      const machine = this.machineServices.machines.get(machineId);
      return {
        machineId,
        pid: this.guests.pid(machineId),
        console: machine ? this.guests.consoleFile(machine) : '',
      };
    });
  }

  async metadataUrl(order: { machineId: string }): Promise<{ url: string }> {
    return { url: await this.metadata.url(order.machineId) };
  }

  issueToken(order: { principalId: string; resource: string }): Promise<IssuedToken> {
    return this.tokens.issue(order.principalId, order.resource);
  }

  /** A TokenCredential of a principal, for SDK clients in this process. */
  credential(principalId: string) {
    return {
      getToken: async (scopes: string | string[]) => {
        const scope = Array.isArray(scopes) ? (scopes[0] as string) : scopes;
        const { token, expiresOn } = await this.tokens.issue(principalId, scope.replace(/\/\.default$/, ''));
        return { token, expiresOnTimestamp: expiresOn * 1000 };
      },
    };
  }

  // ---- Inside ----------------------------------------------------------------------------------------------------------------------

  private running() {
    if (!this.servers) throw new Error('The simulator has not started.');
    return this.servers;
  }

  private async listen(ports: NonNullable<SimulatorOptions['ports']>): Promise<void> {
    const watch = { faults: this.faults, log: this.log, now: () => this.clock.now() };
    const plane = createDataPlane({
      store: this.store,
      policies: this.policies,
      clock: this.clock,
      faults: this.diskFaults,
      tenantId: this.tenantId,
      verifyToken: async (authorization) => this.mayTouchDisks(authorization),
    });
    const storage = new StoragePlane({
      accounts: this.storage,
      tokens: this.tokens,
      roles: this.roles,
      delegation: new Delegation(this.state),
      faults: this.diskFaults,
      now: () => this.clock.now(),
      base: () => this.url,
    });
    const https = await startServer(
      {
        ...watch,
        app: this.machineServices.app,
        tokens: this.tokens,
        operations: this.core.operations,
        keyVaults: this.vaults,
        dataPlane: (request, response) => plane.handle(request, response),
        storage,
        base: () => this.url,
      },
      this.tls,
      ports.https ?? 0,
    );
    const identity = await startIdentityEndpoint(watch, this.apps, ports.identity ?? 0);
    const admin = await startAdmin(watch, this, ports.admin ?? 0);
    this.servers = { https, identity, admin };
  }

  /** Disks with dataAccessAuthMode AzureActiveDirectory: a token for the disk service, of somebody with a data role. */
  private async mayTouchDisks(authorization: string): Promise<boolean> {
    try {
      const { objectId } = await this.tokens.verify(authorization, ['https://disk.compute.azure.com']);
      const actions = ['snapshots/download', 'disks/download', 'disks/upload'].map(
        (verb) => `Microsoft.Compute/${verb}/action`,
      );
      return this.roles
        .list(objectId)
        .some(({ scope }) => actions.some((action) => this.roles.allowsData(objectId, action, scope)));
    } catch {
      return false;
    }
  }

  /** What a sudden end left half done, and the machines that were on. */
  private recover(): void {
    const { machines, disks } = this.machineServices;
    for (const disk of disks.disks.values()) {
      if (disk.managedBy === undefined || machines.get(disk.managedBy)) continue;
      delete disk.managedBy;
      disks.save(disk);
    }
    disks.sweepOrphans(this.storage.contents());
    for (const machine of machines.machines.values()) {
      if (machine.power === 'running' && machine.provisioningState !== 'Deleting') this.guests.boot(machine);
    }
    this.timer = setInterval(() => this.core.operations.settle(), SETTLE_EVERY_MS);
    this.timer.unref();
  }

  private emptyGroup(group: ResourceGroupRecord): void {
    const { machines, disks, network, guests } = this.machineServices;
    const inGroup = (record: { subscription: string; group: string }) =>
      record.subscription.toLowerCase() === group.subscription.toLowerCase() &&
      record.group.toLowerCase() === group.name.toLowerCase();
    for (const machine of machines.machines.filter(inGroup)) {
      guests.stop(machine.id);
      removeMachine(this.machineServices, machine);
    }
    for (const record of [...disks.disks.filter(inGroup), ...disks.snapshots.filter(inGroup)]) {
      if (record.grant) this.policies.revoke(record.grant.si);
      disks.remove(record);
    }
    for (const record of network.resources.filter(inGroup)) network.resources.delete(record.id);
  }

  /** By its URL, whatever the port was. */
  private pageBlob(url: string): PageBlobRecord {
    const [account = '', container = '', ...blob] = decodeURI(new URL(url).pathname).slice(1).split('/');
    const record = this.storage.get({ account, container, blob: blob.join('/') });
    if (!record) throw new Error(`No page blob is at ${url}.`);
    return record;
  }

  private contentOf(id: string): string {
    if (isUrl(id)) {
      const record = this.pageBlob(id);
      const time = new URL(id).searchParams.get('snapshot');
      const snapshot = record.snapshots.find((one) => one.time === time);
      if (time !== null && !snapshot) throw new Error(`No snapshot is at ${id}.`);
      return snapshot?.content ?? record.content;
    }
    const record = this.machineServices.disks.get(id);
    if (!record) throw new Error(`No disk or snapshot has the id ${id}.`);
    return record.uniqueId;
  }
}

const isUrl = (id: string): boolean => id.startsWith('https:');
