import type { Installation } from '../../installation/index.ts';
import { HoldfastError } from '../../model/index.ts';
import { type RememberedChain, refreshRepository, rescan } from '../../repository/index.ts';
import { enterStep, warn } from '../live.ts';
import { readState } from '../state.ts';
import { catalogWriter } from './catalogWriter.ts';

/**
 * Makes the catalog again from the objects of the repository. Chains that sessions are writing are left to them. What is
 * older than what is remembered is not taken in, unless the operator accepted it by its id.
 *
 * @throws `repositoryMismatch` when something was rolled back and not accepted; the rest was taken in
 */
export async function rescanAll(installation: Installation, sessionId: string): Promise<void> {
  await enterStep(installation, sessionId, 'rescan');
  const { request } = await readState(installation, sessionId, 'rescan');
  const installed = await installation.repository(request.repository);
  const repository = await refreshRepository(installed);
  const { findings, rolledBack } = await rescan(repository, {
    writer: catalogWriter(installation, installed),
    remembered: await rememberedChains(installation, repository.id),
    accept: request.accept,
  });
  for (const { object, problem } of findings) await warn(installation, sessionId, `${object}: ${problem}.`);
  const held = rolledBack.filter(({ accepted }) => !accepted);
  if (held.length === 0) return;
  const [first] = held;
  throw new HoldfastError(
    'repositoryMismatch',
    `${held.length} chains are older than what is remembered, and were not taken in: ${held.map(({ chain, problem }) => `${chain}: ${problem}`).join('; ')}. ` +
      'If that is intended, rescan and accept them by their ids.',
    { target: first?.chain ?? '' },
  );
}

async function rememberedChains({ catalog }: Installation, repositoryId: string): Promise<RememberedChain[]> {
  const known: RememberedChain[] = [];
  for (const { chainId, head } of await catalog.chains.list(repositoryId)) {
    const rows = await catalog.points.list(chainId, { removed: true });
    const removed = rows.flatMap(({ point, removedAt }) => (removedAt === null ? [] : [point.sequence]));
    known.push({ chain: chainId, head, removed });
  }
  return known;
}
