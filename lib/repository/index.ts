/**
 * The repository: format, keys, commit, reading, checking. See README.md for what it promises, docs/format.md for its bytes.
 *
 * A session: `openRepository` -> `openChain` or `createChain` -> `claimSequence` -> `writePageTable` (parent) -> plan and
 * move (lib/datapath) with `encodeChainKeys(chain.keys)` -> `commitPoint`; or `voidClaim` when it ends without a point.
 */
export * from './blobStore.ts';
export { deflate, inflate } from './blockCodec.ts';
export { blockDigest } from './blockDigest.ts';
export {
  type BlockMap,
  blocksOf,
  type MapShape,
  nodesOf,
  pageRefs,
  pagesOf,
} from './blockMap.ts';
export { BlockReader, type DiskBlock } from './blockReader.ts';
export { ByteReader, ByteWriter } from './byteCodec.ts';
export {
  type Chain,
  type ChainIdentity,
  type CreateChain,
  createChain,
  listChains,
  openChain,
  PAGE_BLOCKS,
} from './chain.ts';
export { type CheckRepository, checkRepository } from './check.ts';
export {
  examinePackOf,
  type OpenExaminer,
  type PackExam,
  type PackExaminer,
} from './checkContent.ts';
export type { CheckDepth, CheckResult, Finding, GarbageObject } from './checkReport.ts';
export {
  type Claim,
  claimSequence,
  openSequences,
  readClaim,
  renewClaim,
  type StoredClaim,
} from './claim.ts';
export * from './collect/index.ts';
export { type CommitPoint, type CommittedPoint, commitPoint } from './commit.ts';
export type { DiskToCommit } from './commitDisk.ts';
export { differentPages } from './comparePoints.ts';
export { createOnce } from './createOnce.ts';
export { decoding } from './damage.ts';
export type { Slot, Unlock } from './descriptor.ts';
export { FolderBlobStore } from './folderStore.ts';
export * from './immutability/index.ts';
export { inOrder, type SizedTask } from './inOrder.ts';
export * from './keySlots/index.ts';
export { type ChainKeys, decodeChainKeys, encodeChainKeys, type RepositoryMode } from './keys.ts';
export {
  assignDiskNumbers,
  describePoint,
  encodeManifest,
  type Manifest,
  type ManifestDisk,
  type PointManifest,
  type VoidManifest,
} from './manifest.ts';
export { MapWriter } from './mapObject.ts';
export { type ChainData, MapObjects } from './mapObjects.ts';
export { MemoryBlobStore } from './memoryStore.ts';
export {
  type MapId,
  type PackId,
  packName,
  pageTableName,
  planName,
  planWindowName,
} from './names.ts';
export { type OpenDisk, type OpenPoint, openPoint } from './openPoint.ts';
export { assertOwner, type Owner, readOwner, type StoredOwner, takeOwnership } from './owner.ts';
export type { PackAt } from './packGenerations.ts';
export { PackIndex } from './packIndex.ts';
export { type FinishedPack, PACK_BYTES, PackWriter, packSpace } from './packWriter.ts';
export { type BlockRef, Page } from './page.ts';
export { type PageTableAt, readPageTable, writePageTable } from './pageTable.ts';
export {
  decidedSequences,
  listManifests,
  readManifest,
  readPoint,
  removePoint,
  type StoredManifest,
  type VoidClaim,
  voidClaim,
} from './points.ts';
export { RecordReader, RecordWriter } from './recordObject.ts';
export { type OpenedFromChain, openFromChain, recoverDescriptor } from './recover.ts';
export { decodeRefs, encodeRefs, type Ref } from './refs.ts';
export {
  type CreateRepository,
  createRepository,
  type OpenRepository,
  openRepository,
  type RememberedRepository,
  type Repository,
  refreshRepository,
  rememberRepository,
} from './repository.ts';
export * from './rescan/index.ts';
export { type SampledBlock, sampleWritten } from './sample.ts';
export { KIND, openWhole, sealWhole } from './sealedObject.ts';
export * from './verify/index.ts';
