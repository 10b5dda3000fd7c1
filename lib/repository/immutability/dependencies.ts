import { type Chain, chainData } from '../chain.ts';
import { CheckReport } from '../checkReport.ts';
import { EnteredOnce, type Visitor, walkPoint } from '../checkWalk.ts';
import { corruptObject } from '../damage.ts';
import type { PointManifest } from '../manifest.ts';
import { MapObjects } from '../mapObjects.ts';
import { chainName, DESCRIPTOR, mapName, type PackId, packName } from '../names.ts';
import { Trees } from '../tree.ts';

/** The objects without which a restore point cannot be restored, but for its own manifest. */
export interface Dependencies {
  readonly meta: ReadonlySet<string>;
  readonly data: ReadonlySet<string>;
}

/**
 * Walks over the point's trees and pages: memory grows with its objects, not with its blocks. Throws `corruptObject` when
 * some of it cannot be read: nothing is locked for a point that does not restore.
 */
export async function dependenciesOf(
  chain: Chain,
  manifest: PointManifest,
  signal?: AbortSignal,
): Promise<Dependencies> {
  const report = new CheckReport();
  const met = new MetObjects(chain.id);
  const context = { chain, trees: new Trees(chain), maps: new MapObjects(chainData(chain)), report, signal };
  await walkPoint(context, manifest, met);
  const [damage] = report.result().findings;
  if (damage) throw corruptObject(damage.object, damage.problem);
  return { meta: met.meta.add(DESCRIPTOR).add(chainName(chain.id)), data: met.data };
}

class MetObjects extends EnteredOnce implements Visitor {
  readonly meta = new Set<string>();
  readonly data = new Set<string>();
  readonly #chain: string;

  constructor(chain: string) {
    super(chain);
    this.#chain = chain;
  }

  tree(name: string): void {
    this.meta.add(name);
  }

  map(name: string): void {
    this.data.add(name);
  }

  block(id: PackId): void {
    const pack = packName(this.#chain, id);
    if (this.data.has(pack)) return;
    // The map object of a pack holds its index.
    this.data.add(pack).add(mapName(this.#chain, id));
  }
}
