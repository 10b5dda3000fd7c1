import { HoldfastError } from '../model/index.ts';
import { type BlockMap, pagesOf } from './blockMap.ts';
import { BlockReader, type DiskBlock } from './blockReader.ts';
import { type Chain, chainData } from './chain.ts';
import type { ManifestDisk, PointManifest } from './manifest.ts';
import { MapObjects } from './mapObjects.ts';
import { readPoint } from './points.ts';
import { TreeMap, Trees } from './tree.ts';
import type { DiskDamage } from './verify/pointState.ts';
import { knownDamage } from './verify/reread.ts';

/** A restore point, open for reading. */
export interface OpenPoint {
  readonly manifest: PointManifest;
  /** What is known to be damaged, by disk; empty: nothing. Reading any of it fails, and names the object. */
  readonly damage: readonly DiskDamage[];
  /** Disk by its number; `notFound` when the point has no such disk. */
  disk(number: number, signal?: AbortSignal): Promise<OpenDisk>;
}

export interface OpenDisk {
  readonly disk: ManifestDisk;
  /** For `writePageTable`, and for comparing two points by their references. Tells what is known to be damaged. */
  readonly map: BlockMap;
  /**
   * All blocks that are not absent (of pages [from, to) where given), verified, in runs as one request brought them; the
   * rest of the disk reads as zeros.
   */
  blocks(range?: { from: number; to: number }, signal?: AbortSignal): AsyncIterable<readonly DiskBlock[]>;
}

/**
 * Opens a restore point by its number (manifest read and authenticated) or by a manifest that was read before. Throws
 * `missingObject` and `corruptObject` with the object's name as target, here and while reading.
 */
export async function openPoint(chain: Chain, point: number | PointManifest): Promise<OpenPoint> {
  const manifest = typeof point === 'number' ? (await readPoint(chain, point)).manifest : point;
  const trees = new Trees(chain);
  const data = chainData(chain);
  const reader = new BlockReader(data, new MapObjects(data));
  const damage = await knownDamage(chain, manifest.sequence);
  return {
    manifest,
    damage,
    async disk(number, signal) {
      const disk = manifest.disks.find((one) => one.number === number);
      if (!disk) {
        throw new HoldfastError(
          'notFound',
          `The restore point ${chain.id}/${manifest.sequence} has no disk ${number}.`,
          {
            target: String(number),
          },
        );
      }
      const map = await TreeMap.open(chain, disk.tree, disk.sizeBytes, trees, signal);
      map.damaged = damage.find((one) => one.disk === number)?.ranges ?? [];
      return {
        disk,
        map,
        blocks: (range = { from: 0, to: pagesOf(map) }, readSignal = signal) =>
          reader.read(map, range.from, range.to, readSignal),
      };
    },
  };
}
