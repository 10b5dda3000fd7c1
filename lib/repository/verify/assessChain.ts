import { nodesOf } from '../blockMap.ts';
import { type Chain, chainData, NODE_PAGES, openChain } from '../chain.ts';
import { CheckReport, type Finding } from '../checkReport.ts';
import { corruptObject } from '../damage.ts';
import { inOrder, type SizedTask } from '../inOrder.ts';
import type { PointManifest } from '../manifest.ts';
import { MapObjects } from '../mapObjects.ts';
import { mapName, treeName } from '../names.ts';
import { pageRuns, RUN_BYTES } from '../pageRuns.ts';
import { decidedSequences, readManifest } from '../points.ts';
import type { Ref } from '../refs.ts';
import type { Repository } from '../repository.ts';
import { SeenRecords } from '../seenRecords.ts';
import { TreeMap, Trees } from '../tree.ts';

/** Whether a chain can be built upon. */
export type ChainAssessment = 'sound' | { readonly damaged: readonly Finding[] };

const RUNS_AT_ONCE = { bytes: 16 * RUN_BYTES, tasks: 16 };

/**
 * Looks at what the next backup of a chain builds on, before it is opened: the chain's document, its manifests, and of the
 * newest point the trees, nodes and pages. Packs are not read: a damaged pack is repaired within its chain, damaged metadata
 * is not, and the next backup then founds a new chain. The old one keeps what can be read of it. A few requests for each
 * manifest and node, one for each run of pages; bounded memory. `missingObject` from the store for the chain's own document means that there is
 * no chain yet: that is for the caller, who alone knows whether there should be one.
 */
export async function assessChain(
  repository: Repository,
  id: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<ChainAssessment> {
  const report = new CheckReport();
  const chain = await report.guard(() => openChain(repository, id));
  if (chain) {
    let newest: PointManifest | null = null;
    for (const sequence of await decidedSequences(chain)) {
      const stored = await report.guard(() => readManifest(chain, sequence), [`${id}/${sequence}`]);
      if (stored?.manifest.state === 'point') newest = stored.manifest;
    }
    if (newest) await assessPoint(chain, newest, report, signal);
  }
  const { findings } = report.result();
  return findings.length === 0 ? 'sound' : { damaged: findings };
}

async function assessPoint(
  chain: Chain,
  manifest: PointManifest,
  report: CheckReport,
  signal?: AbortSignal,
): Promise<void> {
  const point = [`${chain.id}/${manifest.sequence}`];
  const trees = new Trees(chain);
  const maps = new MapObjects(chainData(chain));
  const seen = new SeenRecords();
  for (const disk of manifest.disks) {
    const map = await report.guard(
      () => TreeMap.open(chain, disk.tree, disk.sizeBytes, trees, signal),
      point,
    );
    if (!map) continue;
    const tasks = pages(chain, map, { report, point, seen }, maps, signal);
    for await (const done of inOrder(tasks, RUNS_AT_ONCE, signal)) void done;
  }
}

async function* pages(
  chain: Chain,
  map: TreeMap,
  { report, point, seen }: { report: CheckReport; point: readonly string[]; seen: SeenRecords },
  maps: MapObjects,
  signal?: AbortSignal,
): AsyncGenerator<SizedTask<unknown>> {
  for (let index = 0; index < nodesOf(map); index++) {
    const nodeRef = map.nodeRef(index);
    if (!nodeRef) continue;
    const refs = await report.guard(() => soundNode(chain, map, index, nodeRef, signal), point);
    const fresh = (refs ?? []).filter(
      (ref): ref is Ref => ref !== null && seen.add(mapName(chain.id, ref.object), ref.record),
    );
    for (const run of pageRuns(fresh)) {
      yield {
        bytes: RUN_BYTES,
        run: () =>
          report.guard(async () => {
            for (const page of await maps.pages(run, signal))
              await report.guard(async () => void page(), point);
          }, point),
      };
    }
  }
}

async function soundNode(
  chain: Chain,
  map: TreeMap,
  index: number,
  ref: Ref,
  signal?: AbortSignal,
): Promise<readonly (Ref | null)[]> {
  const refs = await map.node(index, signal);
  const present = refs.reduce((sum, one) => sum + (one?.present ?? 0), 0);
  if (refs.length === NODE_PAGES && present === ref.present) return refs;
  throw corruptObject(
    treeName(chain.id, ref.object),
    `the node in its record ${ref.record} is not the one that was referred to`,
  );
}
