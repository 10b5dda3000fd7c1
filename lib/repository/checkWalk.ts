import { nodesOf, pagesOf } from './blockMap.ts';
import { type Chain, NODE_PAGES } from './chain.ts';
import type { CheckReport } from './checkReport.ts';
import { BlockBits } from './collect/bitColumns.ts';
import { corruptObject } from './damage.ts';
import { inOrder, type SizedTask } from './inOrder.ts';
import type { PointManifest } from './manifest.ts';
import type { MapObjects } from './mapObjects.ts';
import { mapName, type PackId, packName, treeName } from './names.ts';
import type { Page } from './page.ts';
import { pageRuns, RUN_BYTES } from './pageRuns.ts';
import type { Ref } from './refs.ts';
import { SeenRecords } from './seenRecords.ts';
import { TreeMap, type Trees } from './tree.ts';

const RUNS_AT_ONCE = { bytes: 8 * RUN_BYTES, tasks: 8 };

/** What a walk meets on its way from a manifest to the packs. */
export interface Visitor {
  tree(name: string): void;
  map(name: string): void;
  /** False: this node (page) was seen from another point, and need not be read again. */
  enterNode(ref: Ref): boolean;
  enterPage(ref: Ref): boolean;
  block(pack: PackId, ordinal: number): void;
}

export interface WalkContext {
  readonly chain: Chain;
  readonly trees: Trees;
  readonly maps: MapObjects;
  readonly report: CheckReport;
  readonly signal?: AbortSignal | undefined;
}

/** Walks from a point's manifest over its trees and pages. Damage is reported on the way, and what can be read is. */
export async function walkPoint(
  context: WalkContext,
  manifest: PointManifest,
  visitor: Visitor,
): Promise<void> {
  const { chain, trees, report, signal } = context;
  const point = [`${chain.id}/${manifest.sequence}`];
  for (const disk of manifest.disks) {
    visitor.tree(treeName(chain.id, disk.tree));
    const map = await report.guard(
      () => TreeMap.open(chain, disk.tree, disk.sizeBytes, trees, signal),
      point,
    );
    if (!map) continue;
    if (Math.min(map.present * chain.blockBytes, disk.sizeBytes) !== disk.allocatedBytes) {
      report.found(
        treeName(chain.id, disk.tree),
        'it holds another number of blocks than its manifest says',
        point,
      );
    }
    for (let index = 0; index < nodesOf(map); index++) {
      const nodeRef = map.nodeRef(index);
      if (!nodeRef) continue;
      visitor.tree(treeName(chain.id, nodeRef.object));
      if (!visitor.enterNode(nodeRef)) continue;
      const refs = await report.guard(async () => checkedNode(context, map, index, nodeRef), point);
      const entered: Ref[] = [];
      for (const ref of refs ?? []) {
        if (!ref) continue;
        visitor.map(mapName(chain.id, ref.object));
        if (visitor.enterPage(ref)) entered.push(ref);
      }
      await visitPages(context, entered, point, visitor);
    }
  }
}

async function visitPages(
  { maps, report, signal }: WalkContext,
  refs: readonly Ref[],
  point: readonly string[],
  visitor: Visitor,
): Promise<void> {
  const reads = async function* (): AsyncGenerator<SizedTask<readonly (() => Page)[]>> {
    for (const run of pageRuns(refs))
      yield {
        bytes: RUN_BYTES,
        run: async () => (await report.guard(() => maps.pages(run, signal), point)) ?? [],
      };
  };
  for await (const pages of inOrder(reads(), RUNS_AT_ONCE, signal)) {
    for (const open of pages) {
      const page = await report.guard(async () => open(), point);
      for (let block = 0; page && block < page.blocks; block++) {
        const found = page.get(block);
        if (found) visitor.block(found.pack, found.ordinal);
      }
    }
  }
}

async function checkedNode(
  { chain, signal }: WalkContext,
  map: TreeMap,
  index: number,
  ref: Ref,
): Promise<readonly (Ref | null)[]> {
  const refs = await map.node(index, signal);
  const name = treeName(chain.id, ref.object);
  const present = refs.reduce((sum, one) => sum + (one?.present ?? 0), 0);
  if (present !== ref.present)
    throw corruptObject(name, `the node in its record ${ref.record} is not the one that was referred to`);
  if (refs.findLastIndex(Boolean) + index * NODE_PAGES >= pagesOf(map))
    throw corruptObject(name, 'it holds pages beyond the end of its disk');
  return refs;
}

/** A walk that enters each node and page once, however many points share it. */
export class EnteredOnce {
  readonly #chain: string;
  readonly #nodes = new SeenRecords();
  readonly #pages = new SeenRecords();

  constructor(chain: string) {
    this.#chain = chain;
  }

  enterNode(ref: Ref): boolean {
    return this.#nodes.add(treeName(this.#chain, ref.object), ref.record);
  }

  enterPage(ref: Ref): boolean {
    return this.#pages.add(mapName(this.#chain, ref.object), ref.record);
  }
}

/** The walk that finds out what is live. */
export class LiveObjects extends EnteredOnce implements Visitor {
  readonly trees = new Set<string>();
  readonly maps = new Set<string>();
  /** The blocks of packs that are referred to. */
  readonly blocks = new BlockBits();
  readonly #chain: string;

  constructor(chain: string) {
    super(chain);
    this.#chain = chain;
  }

  tree(name: string): void {
    this.trees.add(name);
  }

  map(name: string): void {
    this.maps.add(name);
  }

  block(id: PackId, ordinal: number): void {
    if (!this.blocks.any(id)) this.maps.add(mapName(this.#chain, id));
    this.blocks.add(id, ordinal);
  }
}

/** The walk that finds out which damaged objects one point needs. */
export class DamageOfPoint implements Visitor {
  readonly #report: CheckReport;
  readonly #chain: string;
  readonly #point: string;

  constructor(report: CheckReport, chain: string, point: string) {
    this.#report = report;
    this.#chain = chain;
    this.#point = point;
  }

  tree(name: string): void {
    this.#report.affects(name, this.#point);
  }

  map(name: string): void {
    this.#report.affects(name, this.#point);
  }

  enterNode(): boolean {
    return true;
  }

  enterPage(): boolean {
    return true;
  }

  block(id: PackId): void {
    for (const name of this.#report.damagedGenerations(packName(this.#chain, id)))
      this.#report.affects(name, this.#point);
    this.#report.affects(mapName(this.#chain, id), this.#point);
  }
}
