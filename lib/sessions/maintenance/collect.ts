import type { Installation, InstalledRepository } from '../../installation/index.ts';
import { toFailure } from '../../model/index.ts';
import {
  type Chain,
  type CollectionPlan,
  type CompactionPlan,
  collect,
  compact,
  type GarbageItem,
  listChains,
  openChain,
  packsAmong,
  planCollection,
  planCompaction,
} from '../../repository/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { readState, updateState } from '../state.ts';

const SLICE_MS = 30_000;

/**
 * Collects what no restore point needs, of one chain a look, and compacts its sparse packs. A chain that cannot be collected
 * (its metadata is damaged) is named in a warning, and keeps the others from nothing.
 */
export async function collectSome(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'collect');
  const { chains, request } = await readState(installation, sessionId, 'collection');
  const repository = await installation.repository(request.repository);
  const pending = chains ?? (await allChains(repository));
  const [id, ...rest] = pending;
  if (id === undefined) return seen(null);
  let done = true;
  try {
    done = await collectChain(installation, sessionId, repository, id);
  } catch (error) {
    const { message, retryable } = toFailure(error);
    if (retryable) throw error;
    await warn(installation, sessionId, `Chain ${id} was not collected: ${message}`);
  }
  const left = done ? rest : pending;
  await updateState(installation, sessionId, 'collection', (state) => ({ ...state, chains: left }));
  return left.length === 0 ? seen(null) : notYet(`${left.length} chains`);
}

export interface ChainPreview {
  readonly collection: CollectionPlan;
  readonly compaction: CompactionPlan;
  /** Of the collection's garbage: what is immutable, and stays until then. */
  readonly locked: LockedGarbage | null;
}

/** What collection and compaction of a chain would do, without doing it. */
export async function previewCollection(installation: Installation, name?: string): Promise<ChainPreview[]> {
  const repository = await installation.repository(name);
  const previews: ChainPreview[] = [];
  for (const id of await allChains(repository)) {
    const chain = await openChain(repository, id);
    const { collection, compaction, locked } = await planChain(repository, chain);
    previews.push({ collection, compaction, locked });
  }
  return previews;
}

/** Garbage whose lock is in force. */
interface LockedGarbage {
  readonly objects: number;
  readonly bytes: number;
  /** The latest of their dates. */
  readonly until: string;
}

/** Locked objects are not even tried, and locked packs are not compacted: the copy would only add to what stays. */
async function planChain(
  { locks }: InstalledRepository,
  chain: Chain,
): Promise<ChainPreview & { readonly garbage: readonly GarbageItem[] }> {
  const held = (await locks?.lockedObjects(chain)) ?? new Map<string, Date>();
  const collection = await planCollection(chain);
  const compaction = await planCompaction(chain, { skip: packsAmong(held) });
  const kept = collection.garbage.filter(({ name }) => held.has(name));
  const until = Math.max(...kept.map(({ name }) => held.get(name)?.getTime() ?? 0));
  return {
    collection,
    compaction,
    garbage: collection.garbage.filter(({ name }) => !held.has(name)),
    locked:
      kept.length === 0
        ? null
        : {
            objects: kept.length,
            bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0),
            until: new Date(until).toISOString(),
          },
  };
}

/** True when nothing of the chain is left to do. */
async function collectChain(
  installation: Installation,
  sessionId: string,
  repository: InstalledRepository,
  chainId: string,
): Promise<boolean> {
  const { id } = await installation.identity();
  const chain = await openChain(repository, chainId);
  const options = {
    installation: id,
    by: `session ${sessionId}`,
    budgetMs: SLICE_MS,
    clock: installation.clock,
  };
  const { collection, compaction, garbage, locked } = await planChain(repository, chain);
  const collected = await collect(chain, { ...collection, garbage }, options);
  const compacted = await compact(chain, compaction, options);
  const done = collected.next === null && compacted.next === null;
  if (done && locked) tellLocked(installation, sessionId, chainId, locked);
  await updateState(installation, sessionId, 'collection', (state) => ({
    ...state,
    removed: state.removed + collected.removed,
    bytes: state.bytes + collected.bytes,
    compacted: state.compacted + compacted.compacted,
    locked: state.locked + (done ? (locked?.objects ?? 0) : 0),
  }));
  return done;
}

function tellLocked(
  { telemetry }: Installation,
  sessionId: string,
  chainId: string,
  { objects, bytes, until }: LockedGarbage,
): void {
  telemetry.event('holdfast.collection.locked', {
    sessionId,
    chainId,
    objects,
    bytes,
    immutableUntil: until,
  });
}

async function allChains(repository: InstalledRepository): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of listChains(repository)) ids.push(id);
  return ids;
}
