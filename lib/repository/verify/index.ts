/**
 * Verification: finding damage, writing down what it means, and making good what can be made good.
 *
 * - `verifyRepository` looks: at the structure, at all content, or at what was not looked at for longest (`rolling`), whose
 *   progress is a small authenticated record for each chain (`record.ts`).
 * - `markDamage` writes into the state of every restore point (`pointState.ts`) which of its blocks cannot be read: exactly
 *   those, found by walking every point that can reach a suspect (`damageWalk.ts`).
 * - `assessChain` says whether the next backup may build on a chain; `rereadOf` which blocks it must read again; `healChain`
 *   gives older points their blocks back afterwards, as a new generation of the damaged pack.
 * - `salvageBlocks` reads what can be read, and says what cannot.
 *
 * What must stay true: a mark is a fact that anybody can find again, so marks may be lost, repeated, and written by two at
 * once. A hold and a retention in a state are not: who relies on them remembers the counter of the state, and asks for at
 * least that. Nothing here deletes; a damaged pack is quarantined by its marks: nothing new refers to it.
 *
 * Not promised: blocks that the guest overwrote since the damaged pack was written cannot be recovered. A point that is
 * committed while damage is being marked is marked by the next run.
 */
export { assessChain, type ChainAssessment } from './assessChain.ts';
export { type BlockRun, blocksWithin, coarsen, RunList } from './blockRuns.ts';
export { type Healed, healChain } from './heal.ts';
export { type DamagedPoint, type MarkDamage, type MarkedDamage, markDamage } from './markDamage.ts';
export {
  type DiskDamage,
  type PointFacts,
  type PointState,
  type ReadState,
  readPointState,
  retentionOf,
  type StoredState,
  type WriteState,
  writePointState,
} from './pointState.ts';
export { rereadOf } from './reread.ts';
export { type Salvaged, salvageBlocks } from './salvage.ts';
export { type VerifyRepository, type VerifyResult, verifyRepository } from './verifyRepository.ts';
