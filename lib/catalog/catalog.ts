import type { Clock } from '../model/index.ts';
import { Chains } from './chains.ts';
import type { EntityTable } from './entityTable.ts';
import { Grants } from './grants.ts';
import { Installation } from './installation.ts';
import { Intents } from './intents.ts';
import { Inventory } from './inventory.ts';
import { Jobs } from './jobs.ts';
import { MemoryTable } from './memoryTable.ts';
import { Points } from './points.ts';
import { Policies } from './policies.ts';
import { Prices } from './prices.ts';
import { Repositories } from './repositories.ts';
import { Sessions } from './sessions.ts';
import { Slots } from './slots.ts';
import { Workers } from './workers.ts';

/** The names of the tables. Part of the product: an installation's data is under them. */
const TABLES = [
  'holdfastSessions',
  'holdfastSessionStates',
  'holdfastPolicies',
  'holdfastRepositories',
  'holdfastMachines',
  'holdfastSlots',
  'holdfastChains',
  'holdfastPoints',
  'holdfastIntents',
  'holdfastGrants',
  'holdfastJobs',
  'holdfastWorkers',
  'holdfastInstallation',
] as const;
export type TableName = (typeof TABLES)[number];

/** All that the service remembers, one store a noun. */
export interface Catalog {
  readonly sessions: Sessions;
  readonly policies: Policies;
  readonly prices: Prices;
  readonly repositories: Repositories;
  readonly inventory: Inventory;
  readonly slots: Slots;
  readonly chains: Chains;
  readonly points: Points;
  readonly intents: Intents;
  readonly grants: Grants;
  readonly jobs: Jobs;
  readonly workers: Workers;
  readonly installation: Installation;
}

/** The catalog over tables: `azureTables(...)`, or memory. No call is made before the first use of a store. */
export function openCatalog(table: (name: TableName) => EntityTable, clock: Clock): Catalog {
  return {
    sessions: new Sessions(table('holdfastSessions'), clock),
    policies: new Policies(table('holdfastPolicies')),
    prices: new Prices(table('holdfastInstallation')),
    repositories: new Repositories(table('holdfastRepositories')),
    inventory: new Inventory(table('holdfastMachines')),
    slots: new Slots(table('holdfastSlots'), clock),
    chains: new Chains(table('holdfastChains'), clock),
    points: new Points(table('holdfastPoints')),
    intents: new Intents(table('holdfastIntents'), clock),
    grants: new Grants(table('holdfastGrants'), clock),
    jobs: new Jobs(table('holdfastJobs')),
    workers: new Workers(table('holdfastWorkers')),
    installation: new Installation(table('holdfastInstallation')),
  };
}

/** A catalog that ends with the process: for tests, and for programs that need none to last. */
export const memoryCatalog = (clock: Clock): Catalog => openCatalog((name) => new MemoryTable(name), clock);
