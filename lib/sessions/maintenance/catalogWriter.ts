import type { Installation, InstalledRepository } from '../../installation/index.ts';
import { type CatalogWriter, type ChainEndFact, retentionOf } from '../../repository/index.ts';

/**
 * Writes what a rescan finds into the catalog. Points as they come; a machine's chain last, when it is known which of its
 * chains the next backup goes on with. A chain that a session holds is left to that session.
 */
export function catalogWriter(
  { catalog, clock }: Installation,
  { id: repositoryId, place, locks }: InstalledRepository,
): CatalogWriter {
  const ends = new Map<string, ChainEndFact>();
  return {
    repository: (facts) => catalog.installation.recognise(facts, place.id),
    chain: () => Promise.resolve(),
    async point({ point, bytes, tag, manifest, state }) {
      const { chainId, sequence } = point;
      const said = { retention: retentionOf(manifest, state), stateCounter: state?.counter ?? 0 };
      await catalog.points.add(point, bytes, tag, { ...said, repositoryId });
      await catalog.points.noteState(chainId, sequence, said);
      if (locks) {
        const until = await locks.heldUntil({ id: chainId }, sequence);
        await catalog.points.noteLock(chainId, sequence, until);
      }
      if (state) await catalog.points.markDamaged(chainId, sequence, state.damage.length > 0);
    },
    removed: ({ chain, sequence }) => catalog.points.markRemoved(chain.id, sequence, clock.now()),
    async chainEnd(fact) {
      ends.set(fact.chain.id, fact);
      const there = new Set([...fact.points, ...fact.damaged]);
      for (const { point } of await catalog.points.list(fact.chain.id)) {
        if (!there.has(point.sequence))
          await catalog.points.markRemoved(fact.chain.id, point.sequence, clock.now());
      }
    },
    async machine({ machine, chains }) {
      const last = ends.get(chains.at(-1) ?? '');
      if (!last) return;
      const { head, bases, chain } = last;
      await catalog.chains.rebuild(
        { repositoryId, machineId: machine.id },
        { chainId: chain.id, head, bases },
      );
    },
    async lost(chainId) {
      for (const { point } of await catalog.points.list(chainId))
        await catalog.points.markRemoved(chainId, point.sequence, clock.now());
    },
  };
}
