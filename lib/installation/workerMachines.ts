import {
  type AzureConnection,
  type WorkerMachine as AzureWorker,
  WorkerMachines as AzureWorkers,
  ensureWorkerNetwork,
  type Operation,
  pollOperation,
  type WorkerImage,
} from '../azure/index.ts';
import { HoldfastError, parseArmId } from '../model/index.ts';
import type { WorkerMachine, WorkerMachines } from '../workers/index.ts';
import type { Settings } from './settings.ts';
import { workerPrefix } from './workerPrefix.ts';

/** The fleet's port over Azure: VMs of the worker resource group, in the network of their region. */
export function azureWorkers(
  connection: AzureConnection,
  settings: Settings,
  tags: Readonly<Record<string, string>>,
): WorkerMachines {
  const machines = new AzureWorkers(connection);
  const resourceGroup = settings.HOLDFAST_WORKER_RESOURCE_GROUP;
  const namePrefix = workerPrefix(settings);
  const [owner] = Object.entries(tags).map(([name, value]) => ({ name, value }));
  const idOf = (name: string) => machines.idOf(resourceGroup, name);
  return {
    async create({ name, location, size, zone, customData, tags: ownTags }) {
      const subnetId = await ensureWorkerNetwork(connection, { resourceGroup, location, namePrefix, tags });
      return machines.startCreate({
        resourceGroup,
        name,
        location,
        size,
        image: parseImage(settings.HOLDFAST_WORKER_IMAGE),
        subnetId,
        customData,
        tags: ownTags,
        ...(zone === null ? {} : { zone }),
      });
    },
    start: (name) => machines.startStart(idOf(name)),
    deallocate: (name) => machines.startDeallocate(idOf(name)),
    remove: (name) => machines.startRemove(idOf(name)),
    poll: (pending) => pollOperation(connection, pending as Operation),
    async get(name) {
      const found = await machines.find(idOf(name));
      return found && describe(found);
    },
    listOwned: async () => (owner ? (await machines.list(resourceGroup, owner)).map(describe) : []),
    async removeLeftovers() {
      const ids = await machines.listOrphans(resourceGroup, `${namePrefix}-`);
      for (const id of ids) await machines.startRemoveOrphan(id);
      return ids.map((id) => parseArmId(id).name);
    },
  };
}

const describe = ({ id, name, powerState, provisioningState, principalId }: AzureWorker): WorkerMachine => ({
  name,
  vmId: id,
  powerState,
  provisioningState: provisioningState.toLowerCase(),
  principalId,
});

/** `publisher:offer:sku:version`. */
function parseImage(text: string): WorkerImage {
  const [publisher, offer, sku, version, ...rest] = text.split(':');
  if (publisher && offer && sku && version && rest.length === 0) return { publisher, offer, sku, version };
  throw new HoldfastError(
    'notConfigured',
    `HOLDFAST_WORKER_IMAGE "${text}" wants publisher:offer:sku:version.`,
    {
      target: 'HOLDFAST_WORKER_IMAGE',
    },
  );
}
