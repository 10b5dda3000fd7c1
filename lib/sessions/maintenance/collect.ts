import type { Installation } from '../../installation/index.ts';
import { toFailure } from '../../model/index.ts';
import {
  type Chain,
  type CollectionPlan,
  type CompactionPlan,
  collect,
  compact,
  listChains,
  openChain,
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
  const { chains } = await readState(installation, sessionId, 'collection');
  const pending = chains ?? (await allChains(installation));
  const [id, ...rest] = pending;
  if (id === undefined) return seen(null);
  let done = true;
  try {
    done = await collectChain(installation, sessionId, await openChain(await installation.repository(), id));
  } catch (error) {
    const { message, retryable } = toFailure(error);
    if (retryable) throw error;
    await warn(installation, sessionId, `Chain ${id} was not collected: ${message}`);
  }
  const left = done ? rest : pending;
  await updateState(installation, sessionId, 'collection', (state) => ({ ...state, chains: left }));
  return left.length === 0 ? seen(null) : notYet(`${left.length} chains`);
}

/** What collection and compaction of a chain would do, without doing it. */
export async function previewCollection(
  installation: Installation,
): Promise<{ collection: CollectionPlan; compaction: CompactionPlan }[]> {
  const repository = await installation.repository();
  const previews = [];
  for (const id of await allChains(installation)) {
    const chain = await openChain(repository, id);
    previews.push({ collection: await planCollection(chain), compaction: await planCompaction(chain) });
  }
  return previews;
}

/** True when nothing of the chain is left to do. */
async function collectChain(installation: Installation, sessionId: string, chain: Chain): Promise<boolean> {
  const { id } = await installation.identity();
  const options = {
    installation: id,
    by: `session ${sessionId}`,
    budgetMs: SLICE_MS,
    clock: installation.clock,
  };
  const collected = await collect(chain, await planCollection(chain), options);
  const compacted = await compact(chain, await planCompaction(chain), options);
  await updateState(installation, sessionId, 'collection', (state) => ({
    ...state,
    removed: state.removed + collected.removed,
    bytes: state.bytes + collected.bytes,
    compacted: state.compacted + compacted.compacted,
  }));
  return collected.next === null && compacted.next === null;
}

async function allChains(installation: Installation): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of listChains(await installation.repository())) ids.push(id);
  return ids;
}
