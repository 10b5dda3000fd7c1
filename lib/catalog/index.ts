/** What the service remembers, in Table Storage. See README.md beside this file. */
export { azureTables } from './azureTable.ts';
export { type Catalog, openCatalog } from './catalog.ts';
export type { Chain as ChainRow, ChainOwner } from './chains.ts';
export type { EntityTable } from './entityTable.ts';
export type { Intents } from './intents.ts';
export type { KnownMachine } from './inventory.ts';
export type { Jobs } from './jobs.ts';
export type { PointRow } from './points.ts';
export { Rows, type Versioned } from './rows.ts';
export type { Covered, SlotRow, SlotsOf } from './slots.ts';
export type { WorkerRow, Workers } from './workers.ts';
