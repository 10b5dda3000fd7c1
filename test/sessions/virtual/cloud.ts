import { createHash } from 'node:crypto';
import type { SnapshotInfo } from '../../../lib/azure/index.ts';
import type { AzurePorts } from '../../../lib/installation/installation.ts';
import {
  armId,
  type Clock,
  HoldfastError,
  type Machine,
  type MachineConfiguration,
  parseArmId,
} from '../../../lib/model/index.ts';
import { type Content, listsOf, SparseDisk, sourceOf } from './disks.ts';

export const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';
export const GROUP = 'protected';

export interface VirtualMachine {
  readonly machine: Machine;
  readonly disks: SparseDisk[];
}

/** What is here of the ports; nobody asks this cloud for the rest. */
type VirtualPorts = {
  readonly [P in keyof AzurePorts]?: { readonly [M in keyof AzurePorts[P]]?: AzurePorts[P][M] };
};
const GRANTED = 'virtual:';

interface VirtualSnapshot {
  readonly info: SnapshotInfo;
  readonly content: Content;
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
const guid = (text: string): string => {
  const hex = digest(text);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
};

/**
 * A cloud that takes no time and keeps no bytes: machines, disks that keep what was written, snapshots. It never forgets what a
 * snapshot showed, so that a restore point can be compared with it after the snapshot is gone.
 */
export class VirtualCloud {
  readonly machines = new Map<string, VirtualMachine>();
  readonly snapshots = new Map<string, VirtualSnapshot>();
  /** What every snapshot that was ever taken showed, by its id in lower case. */
  readonly shown = new Map<string, Content>();
  /** Machines (names) of which no snapshot can be taken now. */
  readonly failing = new Set<string>();
  readonly #clock: Clock;
  #made = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes a machine; one of the same name, made anew, is another machine. */
  addMachine(
    name: string,
    location: string,
    diskBytes: readonly number[],
    tags: Record<string, string>,
  ): VirtualMachine {
    const id = armId(SUBSCRIPTION, GROUP, 'Microsoft.Compute/virtualMachines', name);
    const made = ++this.#made;
    const machine: Machine = {
      id: guid(`machine ${name} ${made}`),
      armId: id,
      name,
      subscriptionId: SUBSCRIPTION,
      resourceGroup: GROUP,
      location,
      powerState: 'running',
      tags,
    };
    const virtual = {
      machine,
      disks: diskBytes.map((size, i) => this.newDisk(`${name}-${made}-${i}`, size)),
    };
    this.machines.set(id.toLowerCase(), virtual);
    return virtual;
  }

  newDisk(name: string, sizeBytes: number): SparseDisk {
    const id = armId(SUBSCRIPTION, GROUP, 'Microsoft.Compute/disks', name);
    return new SparseDisk(id, guid(`disk ${name} ${++this.#made}`), sizeBytes);
  }

  deleteMachine(name: string): void {
    for (const [id, { machine }] of this.machines) if (machine.name === name) this.machines.delete(id);
  }

  #owner(diskId: string): { machine: Machine; disk: SparseDisk } {
    for (const { machine, disks } of this.machines.values()) {
      const disk = disks.find(({ id }) => id.toLowerCase() === diskId.toLowerCase());
      if (disk) return { machine, disk };
    }
    throw new HoldfastError('notFound', `There is no disk ${diskId}.`, { target: diskId });
  }

  /** The part of Azure that sessions ask. */
  ports(): AzurePorts {
    const { machines, snapshots } = this;
    const never = (what: string) => () => Promise.reject(new Error(`nobody asks this cloud for ${what}`));
    const list = async function* (): AsyncIterable<Machine> {
      for (const { machine } of machines.values()) yield machine;
    };
    const ports: VirtualPorts = {
      machines: {
        list,
        get: async (id: string) => this.#configuration(id).machine,
        readConfiguration: async (id: string) => this.#configuration(id),
        powerStates: async () => new Map(),
      },
      managementGroups: { subscriptionsBelow: async () => [] },
      snapshots: {
        idOf: ({ subscriptionId, resourceGroup, name }) =>
          armId(subscriptionId, resourceGroup, 'Microsoft.Compute/snapshots', name),
        checkTags: () => undefined,
        startCreate: async (request) => this.#snapshot(request),
        find: async (id) => snapshots.get(id.toLowerCase())?.info ?? null,
        async *list({ tag }) {
          for (const { info } of [...snapshots.values()])
            if (tag === undefined || info.tags[tag.name] === tag.value) yield info;
        },
        startRemove: async (id) => void snapshots.delete(id.toLowerCase()),
        startReplaceTags: never('other tags'),
        grantRead: async (id) => `${GRANTED}${id}`,
        endRead: async () => undefined,
        groupExists: async () => true,
        canBeZoneRedundant: async () => false,
      },
      disks: { open: ({ sourceUrl }) => this.#open(sourceUrl) },
      grants: { grantAccess: never('access'), revokeAccess: async () => undefined },
      appSas: { forWorker: never('a SAS'), forReading: never('a SAS') },
    };
    return ports as unknown as AzurePorts;
  }

  #configuration(id: string): MachineConfiguration {
    const found = this.machines.get(id.toLowerCase());
    if (!found) throw new HoldfastError('machineGone', `Machine ${id} does not exist.`, { target: id });
    const { machine, disks } = found;
    return {
      machine,
      virtualMachine: { properties: {} },
      networkInterfaces: [],
      disks: disks.map(({ id: diskId, name, uniqueId, sizeBytes }, i) => ({
        kind: 'managed',
        id: diskId,
        name,
        uniqueId,
        role: i === 0 ? 'os' : 'data',
        lun: i === 0 ? null : i - 1,
        sizeBytes,
        sectorSize: 512,
        location: machine.location,
        sku: 'Premium_LRS',
        configuration: {},
      })),
    };
  }

  #open(sourceUrl: string): ReturnType<AzurePorts['disks']['open']> {
    const content = this.shown.get(sourceUrl.slice(GRANTED.length).toLowerCase());
    if (!content) throw new Error(`${sourceUrl} was never granted`);
    return { ...sourceOf(content), ...listsOf(content, null) };
  }

  #snapshot(request: Parameters<AzurePorts['snapshots']['startCreate']>[0]): void {
    const { subscriptionId, resourceGroup, name, location, sourceDiskId, tags } = request;
    const { machine, disk } = this.#owner(sourceDiskId);
    if (this.failing.has(machine.name))
      throw new HoldfastError('snapshotFailed', `Azure refuses a snapshot of ${disk.name}.`, {
        target: disk.id,
      });
    const id = armId(subscriptionId, resourceGroup, 'Microsoft.Compute/snapshots', name);
    const content = disk.freeze();
    const info: SnapshotInfo = {
      id,
      name,
      subscriptionId,
      resourceGroup: parseArmId(id).resourceGroup,
      location,
      sku: 'Standard_LRS',
      timeCreated: this.#clock.now().toISOString(),
      incremental: true,
      sourceDiskId,
      sourceUniqueId: disk.uniqueId,
      familyId: guid(`family ${disk.uniqueId}`),
      sizeBytes: disk.sizeBytes,
      diskState: 'Unattached',
      provisioningState: 'Succeeded',
      tags: { ...tags },
      downloadable: true,
      notDownloadable: null,
    };
    this.snapshots.set(id.toLowerCase(), { info, content });
    this.shown.set(id.toLowerCase(), content);
  }
}
