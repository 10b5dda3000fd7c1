import { type BlockMap, EMPTY_NODE, type MapShape, nodesOf } from './blockMap.ts';
import { type Chain, NODE_PAGES } from './chain.ts';
import { createOnce } from './createOnce.ts';
import { corruptObject, decoding } from './damage.ts';
import type { TreeRef } from './manifest.ts';
import { type TreeId, treeName } from './names.ts';
import { Recent } from './recent.ts';
import { RecordReader, RecordWriter } from './recordObject.ts';
import { decodeRefs, encodeRefs, type Ref } from './refs.ts';
import { KIND } from './sealedObject.ts';
import type { BlockRun } from './verify/blockRuns.ts';

const NODES_KEPT = 64;
const OBJECTS_KEPT_BYTES = 8 * 1024 * 1024;

/** The tree objects of a chain, open, the recent ones kept. */
export class Trees {
  readonly #chain: Chain;
  readonly #open = new Recent<RecordReader>(OBJECTS_KEPT_BYTES, (reader) => Math.max(reader.size, 1024));

  constructor(chain: Chain) {
    this.#chain = chain;
  }

  object(id: TreeId, signal?: AbortSignal): Promise<RecordReader> {
    const { repository, id: chain } = this.#chain;
    const name = treeName(chain, id);
    return this.#open.get(name, () =>
      RecordReader.open(repository.meta, repository.keys.meta, { kind: KIND.tree, chain, name }, { signal }),
    );
  }
}

/** Where a node of a tree is: `null` for one without pages. The reference's object is a tree object (shard 0). */
export type NodeRef = Ref;

/** The block map that a manifest's `tree` names. Damage is reported with the tree object's name. */
export class TreeMap implements BlockMap {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly pageBlocks: number;
  readonly present: number;
  /** Whoever opens the map of a point says what its state calls damaged. */
  damaged: readonly BlockRun[] = [];
  readonly #trees: Trees;
  readonly #roots: readonly (NodeRef | null)[];
  readonly #nodes = new Recent<readonly (Ref | null)[]>(NODES_KEPT, () => 1);

  private constructor(trees: Trees, shape: MapShape, roots: readonly (NodeRef | null)[]) {
    this.sizeBytes = shape.sizeBytes;
    this.blockBytes = shape.blockBytes;
    this.pageBlocks = shape.pageBlocks;
    this.present = roots.reduce((sum, ref) => sum + (ref?.present ?? 0), 0);
    this.#trees = trees;
    this.#roots = roots;
  }

  static async open(
    chain: Chain,
    tree: TreeRef,
    sizeBytes: number,
    trees = new Trees(chain),
    signal?: AbortSignal,
  ): Promise<TreeMap> {
    const reader = await trees.object(tree, signal);
    if (reader.tag !== tree.tag || reader.size !== tree.length) {
      throw corruptObject(reader.name, 'it is not the one that the manifest names');
    }
    const shape = { sizeBytes, blockBytes: chain.blockBytes, pageBlocks: chain.pageBlocks };
    const root = await reader.record(reader.records - 1, signal);
    return new TreeMap(
      trees,
      shape,
      decoding(reader.name, 'its root', () => decodeRefs(root, nodesOf(shape))),
    );
  }

  /** The reference to a node: two maps that have the same one hold the same pages there. */
  nodeRef(index: number): NodeRef | null {
    return this.#roots[index] ?? null;
  }

  async node(index: number, signal?: AbortSignal): Promise<readonly (Ref | null)[]> {
    const ref = this.nodeRef(index);
    if (!ref) return EMPTY_NODE;
    return this.#nodes.get(String(index), async () => {
      const reader = await this.#trees.object(ref.object, signal);
      const bytes = await reader.record(ref.record, signal);
      return decoding(reader.name, `the node in its record ${ref.record}`, () =>
        decodeRefs(bytes, NODE_PAGES),
      );
    });
  }
}

/** Builds the tree object of a point's disk: nodes in order, kept ones by reference, then the root. */
export class TreeWriter {
  readonly #chain: Chain;
  readonly #id: Omit<TreeId, 'attempt'>;
  readonly #nodes: ({ kept: NodeRef } | { bytes: Buffer; present: number } | null)[] = [];

  constructor(chain: Chain, id: Omit<TreeId, 'attempt'>) {
    this.#chain = chain;
    this.#id = id;
  }

  /** Blocks under the nodes so far. */
  get present(): number {
    return this.#nodes.reduce(
      (sum, node) => sum + (node && 'kept' in node ? node.kept.present : (node?.present ?? 0)),
      0,
    );
  }

  /** The next node is the parent's. */
  keep(ref: NodeRef | null): void {
    this.#nodes.push(ref && { kept: ref });
  }

  /** The next node holds these pages. */
  add(refs: readonly (Ref | null)[]): void {
    const present = refs.reduce((sum, ref) => sum + (ref?.present ?? 0), 0);
    this.#nodes.push(refs.some(Boolean) ? { bytes: encodeRefs(refs), present } : null);
  }

  /** Creates the object under the first free attempt number: a re-run of the commit leaves its first one as garbage. */
  async create(signal?: AbortSignal): Promise<TreeRef> {
    const { repository, id: chain } = this.#chain;
    for (let attempt = 1; ; attempt++) {
      const id = { ...this.#id, attempt };
      const name = treeName(chain, id);
      const writer = new RecordWriter(repository.keys.meta, { kind: KIND.tree, chain, name });
      const roots = this.#nodes.map((node): NodeRef | null => {
        if (!node) return null;
        if ('kept' in node) return node.kept;
        return { object: { ...id, shard: 0 }, record: writer.append(node.bytes), present: node.present };
      });
      writer.append(encodeRefs(roots));
      const { bytes, tag } = writer.finish(Buffer.alloc(0));
      if ((await createOnce(repository.meta, name, bytes, signal)) === 'created')
        return { ...id, length: bytes.length, tag };
    }
  }
}
