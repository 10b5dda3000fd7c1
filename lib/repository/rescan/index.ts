/**
 * The catalog is a cache: `rescan` makes again from the objects what the service works from, `adoptRepository` takes in a
 * repository that another installation made.
 *
 * Invariants
 * - A chain that is older than what is remembered of it never reaches the catalog unless the operator accepts it by its id.
 * - A remembered head is never lowered, except by accepting: damage of its manifest does not lower it.
 * - Damage is named, and costs the point or the chain that it is in; all other chains are rebuilt.
 * - It reads, and writes to the catalog only. Repeating it, whole or half done, comes to the same.
 *
 * Not promised: that all packs are there (`checkRepository`), that the restored rows are newer than what sessions write at
 * the same time (hold the chain's lock), and, with nothing remembered, that the repository is not an older copy.
 */
export { type AdoptedRepository, type AdoptRepository, adoptRepository } from './adopt.ts';
export type {
  CatalogWriter,
  ChainEndFact,
  ChainFact,
  ChainHead,
  MachineFact,
  PointFact,
  RemovedFact,
} from './catalogWriter.ts';
export { type Rescan, type RescanResult, rescan } from './rescan.ts';
export type { RememberedChain, RolledBack } from './rolledBack.ts';
