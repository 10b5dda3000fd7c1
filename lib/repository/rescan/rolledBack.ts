import { isHoldfastError } from '../../model/index.ts';
import type { Chain } from '../chain.ts';
import { readManifest } from '../points.ts';
import type { ChainHead } from './catalogWriter.ts';

/** What the service remembers of a chain. */
export interface RememberedChain {
  readonly chain: string;
  /** Null: nothing was committed yet. */
  readonly head: ChainHead | null;
  /** Numbers whose points were removed: one of them that is a point again was put back. */
  readonly removed?: readonly number[] | undefined;
}

/** A chain that is older than what is remembered, or was replaced. Nothing of it goes into the catalog until it is accepted. */
export interface RolledBack {
  readonly chain: string;
  readonly remembered: ChainHead | null;
  /** For people: what differs. */
  readonly problem: string;
  readonly accepted: boolean;
}

/**
 * Compares a chain with what is remembered of it; null when it is that chain, or a later state of it. A damaged manifest is
 * not one that was rolled back: it says nothing of its number, and the rescan reports it as damage.
 */
export async function compareWithRemembered(
  chain: Chain,
  { head, removed = [] }: RememberedChain,
): Promise<string | null> {
  if (head) {
    const found = await readUndamaged(chain, head.sequence);
    if (found === null)
      return `number ${head.sequence} is not decided, but was when it was last seen: the chain is an older copy, or its manifest was deleted`;
    if (found !== 'damaged' && found.tag !== head.tag) {
      const { manifest } = found;
      const later = manifest.state === 'void' && manifest.reason === 'removed' && head.state !== 'void';
      if (!later)
        return `the manifest of number ${head.sequence} is not the one that was last seen: an older one was put back, or another chain is in its place`;
    }
  }
  for (const sequence of removed) {
    const found = await readUndamaged(chain, sequence);
    if (found !== null && found !== 'damaged' && found.manifest.state === 'point')
      return `the removed restore point ${sequence} is there again: the manifest from before its removal was put back`;
    if (found === null)
      return `the removed restore point ${sequence} left no void behind: its manifest was deleted`;
  }
  return null;
}

async function readUndamaged(chain: Chain, sequence: number) {
  try {
    return await readManifest(chain, sequence);
  } catch (error) {
    if (isHoldfastError(error, 'corruptObject')) return 'damaged' as const;
    throw error;
  }
}
