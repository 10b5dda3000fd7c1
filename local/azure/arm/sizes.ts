/** Sizes of machines, their restrictions and capacity, and the quota of cores. */
import { ArmError } from '../errors.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { Collection, StateStore } from '../state.ts';
import type { ArmApp } from './app.ts';
import type { MachineRecords } from './machineRecords.ts';
import { hasZones } from './zones.ts';

interface Size {
  name: string;
  family: string;
  cores: number;
  memoryGB: number;
  maxDataDisks: number;
  premium: boolean;
}

const size = (name: string, family: string, cores: number, memoryGB: number, maxDataDisks: number): Size => ({
  name,
  family,
  cores,
  memoryGB,
  maxDataDisks,
  premium: true,
});

export const SIZES: readonly Size[] = [
  size('Standard_B1s', 'standardBSFamily', 1, 1, 2),
  size('Standard_B2s', 'standardBSFamily', 2, 4, 4),
  size('Standard_B2ms', 'standardBSFamily', 2, 8, 4),
  size('Standard_B2ats_v2', 'standardBasv2Family', 2, 1, 4),
  size('Standard_B2as_v2', 'standardBasv2Family', 2, 8, 4),
  ...(['D', 'E', 'F'] as const).flatMap((letter) =>
    [2, 4, 8, 16].flatMap((cores) => {
      const memory = cores * { D: 4, E: 8, F: 2 }[letter];
      if (letter === 'F')
        return [size(`Standard_F${cores}s_v2`, 'standardFSv2Family', cores, memory, cores * 2)];
      return [
        size(`Standard_${letter}${cores}s_v5`, `standard${letter}Sv5Family`, cores, memory, cores * 2),
        size(`Standard_${letter}${cores}as_v5`, `standard${letter}ASv5Family`, cores, memory, cores * 2),
        size(`Standard_${letter}${cores}ads_v5`, `standard${letter}ADSv5Family`, cores, memory, cores * 2),
      ];
    }),
  ),
  // Its disks are behind NVMe.
  size('Standard_D4s_v6', 'standardDSv6Family', 4, 16, 8),
  { ...size('Standard_D2_v3', 'standardDv3Family', 2, 8, 4), premium: false },
];

/** A size that a region cannot give at present: refused at once, or failing as an operation. */
export interface Shortage {
  location: string;
  size: string;
  /** One zone only. */
  zone?: string;
  kind: 'SkuNotAvailable' | 'AllocationFailed' | 'ZonalAllocationFailed' | 'OverconstrainedAllocationRequest';
}

export class Sizes {
  private readonly shortages: Collection<Shortage>;
  private readonly quota: Collection<{ key: string; limit: number }>;
  private readonly machines: MachineRecords;
  private readonly settings: SimulatorSettings['limits'];

  constructor(state: StateStore, machines: MachineRecords, settings: SimulatorSettings['limits']) {
    this.shortages = state.collection('shortages');
    this.quota = state.collection('coreQuotas');
    this.machines = machines;
    this.settings = settings;
  }

  get(name: string): Size {
    const found = SIZES.find((known) => known.name.toLowerCase() === name.toLowerCase());
    if (found) return found;
    throw new ArmError(
      400,
      'InvalidParameter',
      `The value ${name} provided for the VM size is not valid. The valid sizes in the current region are: ${SIZES.map((known) => known.name).join(',')}. Find out more on the valid VM sizes in each region at https://aka.ms/azure-regions.`,
      { target: 'vmSize' },
    );
  }

  /** Undefined for a size that nobody knows. */
  isPremium(name: string): boolean | undefined {
    return SIZES.find((known) => known.name.toLowerCase() === name.toLowerCase())?.premium;
  }

  addShortage(shortage: Shortage): void {
    this.shortages.set(shortageKey(shortage), shortage);
  }

  removeShortage(shortage: Pick<Shortage, 'location' | 'size' | 'zone'>): void {
    this.shortages.delete(shortageKey(shortage));
  }

  setQuota(subscription: string, location: string, limit: number): void {
    this.quota.set(`${subscription}/${location}`, { key: `${subscription}/${location}`, limit });
  }

  shortage(location: string, name: string, zone: string | undefined): Shortage | undefined {
    return this.shortages
      .values()
      .find(
        (known) =>
          known.location === location &&
          known.size.toLowerCase() === name.toLowerCase() &&
          (known.zone === undefined || known.zone === zone),
      );
  }

  /** Throws 409 SkuNotAvailable; the other shortages are the error of the operation. */
  requireAvailable(
    location: string,
    name: string,
    zone: string | undefined,
  ): { code: string; message: string } | undefined {
    const shortage = this.shortage(location, name, zone);
    if (!shortage) return undefined;
    if (shortage.kind === 'SkuNotAvailable') {
      throw new ArmError(
        409,
        'SkuNotAvailable',
        `The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: ${name}' is currently not available in location '${location}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.`,
      );
    }
    const texts = {
      AllocationFailed: `Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance`,
      ZonalAllocationFailed: `Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance`,
      OverconstrainedAllocationRequest: `Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive. Please remove some constraints and try again. Constraints applied are: VM Size`,
    };
    return { code: shortage.kind, message: texts[shortage.kind] };
  }

  limit(subscription: string, location: string): number {
    return this.quota.get(`${subscription}/${location}`)?.limit ?? this.settings.regionalCores;
  }

  coresInUse(subscription: string, location: string, family?: string): number {
    return this.machines
      .list(subscription)
      .filter((machine) => machine.location === location)
      .map((machine) => this.get(machine.size))
      .filter((known) => family === undefined || known.family === family)
      .reduce((sum, known) => sum + known.cores, 0);
  }

  /** Throws 409 when `more` cores would exceed the region's quota. */
  requireQuota(subscription: string, location: string, more: number): void {
    const limit = this.limit(subscription, location);
    const used = this.coresInUse(subscription, location);
    if (used + more <= limit) return;
    throw new ArmError(
      409,
      'OperationNotAllowed',
      `Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Deployment Model: Resource Manager, Location: ${location}, Current Limit: ${limit}, Current Usage: ${used}, Additional Required: ${more}, (Minimum) New Limit Required: ${used + more}. Setup Alerts when Quota reaches threshold. Learn more at https://aka.ms/quotamonitoringalerting . Submit a request for Quota increase by specifying parameters listed in the ‘Details’ section for deployment to succeed. Please read more about quota limits at https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests`,
    );
  }
}

const shortageKey = ({ location, size: name, zone }: Pick<Shortage, 'location' | 'size' | 'zone'>) =>
  `${location}/${name}/${zone ?? '*'}`;

/** How a region keeps snapshots. */
const snapshotSkus = (location: string) =>
  ['Standard_LRS', 'Premium_LRS', ...(hasZones(location) ? ['Standard_ZRS'] : [])].map((name) => ({
    resourceType: 'snapshots',
    name,
    tier: name.replace(/_.*$/, ''),
    locations: [location],
    locationInfo: [{ location, zones: [], zoneDetails: [] }],
    capabilities: [],
    restrictions: [],
  }));

export function sizeRoutes(app: ArmApp, sizes: Sizes): void {
  const capability = (name: string, value: unknown) => ({ name, value: String(value) });
  app.route(
    'GET',
    '/subscriptions/{s}/providers/Microsoft.Compute/skus',
    { action: 'Microsoft.Compute/skus/read', list: true },
    (request) => {
      const wanted = /location eq '([^']+)'/i.exec(request.query.get('$filter') ?? '')?.[1]?.toLowerCase();
      const { locations } = app.core.subscriptions.require(request.params.s as string);
      const here = locations.filter((location) => wanted === undefined || location === wanted);
      const machines = here.flatMap((location) =>
        SIZES.map((known) => {
          const restricted = sizes.shortage(location, known.name, undefined)?.kind === 'SkuNotAvailable';
          return {
            resourceType: 'virtualMachines',
            name: known.name,
            tier: 'Standard',
            size: known.name.replace(/^Standard_/, ''),
            family: known.family,
            locations: [location],
            locationInfo: [{ location, zones: hasZones(location) ? ['1', '2', '3'] : [], zoneDetails: [] }],
            capabilities: [
              capability('vCPUs', known.cores),
              capability('MemoryGB', known.memoryGB),
              capability('MaxDataDiskCount', known.maxDataDisks),
              capability('PremiumIO', known.premium ? 'True' : 'False'),
              capability('CpuArchitectureType', 'x64'),
              capability('HyperVGenerations', 'V1,V2'),
              capability('LowPriorityCapable', 'True'),
            ],
            restrictions: restricted
              ? [
                  {
                    type: 'Location',
                    values: [location],
                    restrictionInfo: { locations: [location] },
                    reasonCode: 'NotAvailableForSubscription',
                  },
                ]
              : [],
          };
        }),
      );
      return { status: 200, body: { value: [...here.flatMap(snapshotSkus), ...machines] } };
    },
  );
  app.route(
    'GET',
    '/subscriptions/{s}/providers/Microsoft.Compute/locations/{location}/usages',
    { action: 'Microsoft.Compute/locations/usages/read', list: true },
    (request) => {
      const { s } = request.params as { s: string };
      const location = app.core.subscriptions.requireLocation(s, request.params.location as string);
      const limit = sizes.limit(s, location);
      const usage = (value: string, localizedValue: string, currentValue: number) => ({
        limit,
        unit: 'Count',
        currentValue,
        name: { value, localizedValue },
      });
      const families = [...new Set(SIZES.map((known) => known.family))];
      return {
        status: 200,
        body: {
          value: [
            usage('cores', 'Total Regional vCPUs', sizes.coresInUse(s, location)),
            ...families.map((family) =>
              usage(family, `${family} vCPUs`, sizes.coresInUse(s, location, family)),
            ),
          ],
        },
      };
    },
  );
}
