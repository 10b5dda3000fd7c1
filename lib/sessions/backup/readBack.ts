import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type MoveResult } from '../../model/index.ts';
import { type Chain, sampleWritten } from '../../repository/index.ts';
import { readAccess } from '../access.ts';
import type { SnapshotSetState } from '../state.ts';

/** Blocks per disk that are read back. */
const SAMPLES = 8;

interface WrittenDisk {
  readonly snapshot: SnapshotSetState['disks'][number];
  readonly shards: readonly MoveResult[];
}

/**
 * Reads a few blocks of each disk back out of the repository and compares them with the snapshot, while there still is
 * access to it. The last look before the point is committed.
 *
 * @throws `corruptObject`, naming disk and offset: the session fails, and the next one reads what this one should have stored
 */
export async function readBack(
  installation: Installation,
  sessionId: string,
  chain: Chain,
  { snapshot, shards }: WrittenDisk,
): Promise<void> {
  if (shards.length === 0) return;
  const { sizeBytes, number } = snapshot;
  const sourceUrl = await readAccess(installation, sessionId, snapshot, 'source');
  const source = installation.azure.disks.open({ sourceUrl, sizeBytes });
  const blocks = Math.ceil(sizeBytes / chain.blockBytes);
  for await (const { block, bytes } of sampleWritten(chain, shards, { count: SAMPLES, blocks })) {
    const offset = block * chain.blockBytes;
    const length = Math.min(chain.blockBytes, sizeBytes - offset);
    const expected = await source.read(offset, length);
    const stored = bytes?.subarray(0, length) ?? Buffer.alloc(length);
    if (stored.equals(expected)) continue;
    throw new HoldfastError(
      'corruptObject',
      `Disk ${number}: the block at ${offset} does not read back as it is in the snapshot; nothing was committed.`,
      {
        target: `${chain.id}: disk ${number} at ${offset}`,
      },
    );
  }
}
