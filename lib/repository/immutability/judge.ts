import { isHoldfastError } from '../../model/index.ts';
import { decoding } from '../damage.ts';
import { authenticateDocument } from '../document.ts';
import type { RepositoryKeys, SealingKey } from '../keys.ts';
import {
  chainName,
  DESCRIPTOR,
  OWNER,
  parseMapName,
  parsePackName,
  parsePointName,
  verifiedName,
} from '../names.ts';
import {
  type Binding,
  HEADER_BYTES,
  INDEX_RECORD,
  KIND,
  ObjectSeal,
  openWhole,
  TAG_BYTES,
} from '../sealedObject.ts';

/** How much one version of an object is worth. The highest rank wins; of equal ones the oldest, or the newest. */
export interface Rank {
  readonly rank: number;
  readonly of: 'oldest' | 'newest';
}

/** Null: not authentic, so it is nobody's. */
export type Judge = (name: string, bytes: Buffer) => Rank | null;

const OLDEST: Rank = { rank: 1, of: 'oldest' };
const NEWEST: Rank = { rank: 1, of: 'newest' };

/**
 * Which version of an object counts, where an attacker may have put his own on top and hidden ours: an authentic `void` wins
 * over the point that it ended, the highest counter over a lower one, and of what is written once the oldest authentic one.
 * Of objects that are renewed (claims, leases) the newest; no point depends on them.
 */
export const judgeBy =
  (keys: RepositoryKeys): Judge =>
  (name, bytes) => {
    try {
      return rankOf(keys, name, bytes);
    } catch (error) {
      if (isHoldfastError(error, 'corruptObject')) return null;
      throw error;
    }
  };

function rankOf(keys: RepositoryKeys, name: string, bytes: Buffer): Rank {
  const chain = /^chains\/([^/]+)\//.exec(name)?.[1];
  if (name === DESCRIPTOR || name === OWNER) {
    authenticateDocument(keys.document, name, bytes);
    return { rank: counterOf(name, bytes), of: 'oldest' };
  }
  if (chain === undefined) return NEWEST;
  if (name === chainName(chain)) {
    authenticateDocument(keys.document, name, bytes);
    return OLDEST;
  }
  const point = parsePointName(name)?.kind;
  if (point === 'manifest') {
    const plain = openWhole(keys.meta, { kind: KIND.manifest, chain, name }, bytes);
    const { state } = decoding(
      name,
      'the manifest',
      () => JSON.parse(plain.toString('utf8')) as { state: string },
    );
    return { rank: state === 'void' ? 2 : 1, of: 'oldest' };
  }
  if (point === 'session') {
    openWhole(keys.meta, { kind: KIND.claim, chain, name }, bytes);
    return NEWEST;
  }
  if (point === 'state') return counted(keys.meta, { kind: KIND.state, chain, name }, bytes);
  if (name === verifiedName(chain)) return counted(keys.meta, { kind: KIND.verified, chain, name }, bytes);
  if (name.endsWith('.tree')) return openIndex(keys.meta, { kind: KIND.tree, chain, name }, bytes);
  const data = keys.chain(chain).seal;
  if (parseMapName(name)) return openIndex(data, { kind: KIND.map, chain, name }, bytes);
  if (parsePackName(name)) return openIndex(data, { kind: KIND.pack, chain, name }, bytes);
  return NEWEST;
}

/** An object of one record with a counter: the highest counts. */
function counted(key: SealingKey, binding: Binding, bytes: Buffer): Rank {
  const plain = openWhole(key, binding, bytes);
  const { counter } = decoding(
    binding.name,
    'its text',
    () => JSON.parse(plain.toString('utf8')) as { counter: number },
  );
  return { rank: counter, of: 'newest' };
}

/** The index of an object of many records: it is authentic only at its place behind all of them. */
function openIndex(key: SealingKey, binding: Binding, bytes: Buffer): Rank {
  const seal = ObjectSeal.of(key, binding, bytes.subarray(0, HEADER_BYTES));
  const trailer = bytes.length - 12;
  const from = trailer - TAG_BYTES - (trailer < HEADER_BYTES ? 0 : bytes.readUInt32LE(trailer));
  seal.open(INDEX_RECORD, from < HEADER_BYTES ? Buffer.alloc(0) : bytes.subarray(from, trailer));
  return OLDEST;
}

/** Authenticated before. */
function counterOf(name: string, bytes: Buffer): number {
  const line = bytes.toString('utf8').split('\n', 1)[0] ?? '';
  return decoding(name, 'its text', () => (JSON.parse(line) as { counter: number }).counter);
}
