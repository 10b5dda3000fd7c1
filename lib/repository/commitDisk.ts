import { type Disk, HoldfastError, type MoveResult, type ReadReason } from '../model/index.ts';
import { EMPTY_NODE, nodesOf, pagesOf } from './blockMap.ts';
import { type Chain, NODE_PAGES } from './chain.ts';
import { corruptObject, missingObject } from './damage.ts';
import type { MapRef, TreeRef } from './manifest.ts';
import type { MapDirectory } from './mapObject.ts';
import type { MapObjects } from './mapObjects.ts';
import { type MapId, mapName, packName, parseMapName, shardPacksPrefix } from './names.ts';
import type { Ref } from './refs.ts';
import { TreeMap, type Trees, TreeWriter } from './tree.ts';

/** What a session did for one disk. */
export interface DiskToCommit
  extends Pick<Disk, 'uniqueId' | 'name' | 'role' | 'lun' | 'sizeBytes' | 'sectorSize'> {
  /** From `assignDiskNumbers`. */
  readonly number: number;
  readonly snapshotId: string;
  readonly snapshotFamilyId: string;
  /** Of the plan's result. `changedBlocks` builds on the parent's map; every other reason starts from an empty one. */
  readonly readReason: ReadReason;
  /** Of the plan's result. */
  readonly sampledBytes: number;
  /** The results of all shards of the plan, in any order; none when the plan has none. */
  readonly shards: readonly MoveResult[];
}

export interface CommitContext {
  readonly chain: Chain;
  readonly claim: { readonly sequence: number };
  readonly trees: Trees;
  readonly maps: MapObjects;
  readonly signal?: AbortSignal | undefined;
}

export interface CommittedDisk {
  readonly tree: TreeRef;
  readonly maps: readonly MapRef[];
  /** Bytes of the blocks that are not absent. */
  readonly presentBytes: number;
}

interface PageUpdate {
  readonly page: number;
  /** Null: the page became empty. */
  readonly ref: Ref | null;
}

/**
 * Checks what the shards of one disk wrote and assembles its tree: the parent's nodes and the shards' pages, merged in disk
 * order. Memory holds one directory, one node and the new nodes' encoded bytes.
 */
export async function commitDisk(
  context: CommitContext,
  disk: DiskToCommit,
  before: { sizeBytes: number; tree: TreeRef } | null,
): Promise<CommittedDisk> {
  const { chain, trees, claim, signal } = context;
  const shape = { sizeBytes: disk.sizeBytes, blockBytes: chain.blockBytes, pageBlocks: chain.pageBlocks };
  const incremental = disk.readReason === 'changedBlocks';
  if (incremental && (!before || before.sizeBytes > disk.sizeBytes)) {
    throw new HoldfastError(
      'invalidInput',
      `Disk ${disk.number} was read as changed blocks, but its parent has no such disk of this size or smaller.`,
      {
        target: `${chain.id}/${claim.sequence}`,
      },
    );
  }
  const base =
    incremental && before ? await TreeMap.open(chain, before.tree, before.sizeBytes, trees, signal) : null;
  const maps: MapRef[] = [];
  const updates = shardUpdates(context, disk, pagesOf(shape), maps)[Symbol.asyncIterator]();
  const writer = new TreeWriter(chain, { sequence: claim.sequence, disk: disk.number });
  const baseNodes = base ? nodesOf(base) : 0;
  let next = await updates.next();
  let changed = !base || baseNodes !== nodesOf(shape);
  for (let index = 0; index < nodesOf(shape); index++) {
    const end = (index + 1) * NODE_PAGES;
    if (next.done || next.value.page >= end) {
      writer.keep(base && index < baseNodes ? base.nodeRef(index) : null);
      continue;
    }
    changed = true;
    const refs = [...(base && index < baseNodes ? await base.node(index, signal) : EMPTY_NODE)];
    while (!next.done && next.value.page < end) {
      refs[next.value.page - index * NODE_PAGES] = next.value.ref;
      next = await updates.next();
    }
    writer.add(refs);
  }
  const tree = !changed && before ? before.tree : await writer.create(signal);
  const presentBytes = Math.min(writer.present * chain.blockBytes, disk.sizeBytes);
  return { tree, maps, presentBytes };
}

/** The pages that the shards wrote, in disk order; fills `maps`. */
async function* shardUpdates(
  context: CommitContext,
  disk: DiskToCommit,
  pages: number,
  maps: MapRef[],
): AsyncGenerator<PageUpdate> {
  const { chain, signal } = context;
  let last = -1;
  for (const { id, tag } of shardIds(context, disk)) {
    const name = mapName(chain.id, id);
    const directory = await context.maps.directory(id, signal);
    if (directory.tag !== tag) throw corruptObject(name, 'it is not the object that its shard reported');
    await checkPacks(context, id, directory);
    maps.push({ shard: id.shard, attempt: id.attempt, length: directory.length, tag });
    for (const { page, record, present } of directory.pages) {
      if (page <= last || page >= pages) {
        throw corruptObject(name, `it holds page ${page}, which is not its shard's`);
      }
      last = page;
      yield { page, ref: record === null ? null : { object: id, record, present } };
    }
  }
}

/** Shards in the order of their numbers, which is disk order. */
function shardIds({ chain, claim }: CommitContext, disk: DiskToCommit): { id: MapId; tag: string }[] {
  const shards = disk.shards.map(({ map, mapTag }) => {
    const id = parseMapName(map);
    if (!id || mapName(chain.id, id) !== map || id.sequence !== claim.sequence || id.disk !== disk.number) {
      throw new HoldfastError(
        'invalidInput',
        `${map} is not a map object of disk ${disk.number} of ${chain.id}/${claim.sequence}.`,
        { target: map },
      );
    }
    return { id, tag: mapTag };
  });
  shards.sort((a, b) => a.id.shard - b.id.shard);
  const twice = shards.find(({ id }, i) => id.shard === shards[i + 1]?.id.shard);
  if (twice)
    throw new HoldfastError(
      'invalidInput',
      `Shard ${twice.id.shard} of disk ${disk.number} was reported twice.`,
      { target: `${chain.id}/${claim.sequence}` },
    );
  return shards;
}

/** The packs that the shard's blocks are in must be there, whole. By one listing per shard. */
async function checkPacks(
  { chain, signal }: CommitContext,
  id: MapId,
  directory: MapDirectory,
): Promise<void> {
  if (directory.packs.length === 0) return;
  const { data } = chain.repository;
  const sizes = new Map<string, number>();
  for await (const { name, size } of data.list(shardPacksPrefix(chain.id, id), { signal }))
    sizes.set(name, size);
  for (const { number, length } of directory.packs) {
    const name = packName(chain.id, { ...id, number });
    const size = sizes.get(name);
    if (size === undefined) throw missingObject(name, data.name);
    if (size !== length) throw corruptObject(name, `it has ${size} bytes instead of ${length}`);
  }
}
