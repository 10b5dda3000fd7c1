import type { Installation } from '../../installation/index.ts';
import type { CatalogWriter, ChainEndFact } from '../../repository/index.ts';

/**
 * Writes what a rescan finds into the catalog. Points as they come; a machine's chain last, when it is known which of its
 * chains the next backup goes on with. A chain that a session holds is left to that session.
 */
export function catalogWriter({ catalog, clock }: Installation, repositoryId: string): CatalogWriter {
  const ends = new Map<string, ChainEndFact>();
  return {
    repository: (facts) => catalog.installation.recognise(facts),
    chain: () => Promise.resolve(),
    point: ({ point, bytes, tag }) => catalog.points.add(point, bytes, tag),
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
