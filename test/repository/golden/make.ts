/**
 * Makes the golden repositories of the current format version, next to this file: `<version>-<mode>/{meta,data}` and what a
 * reader must get of them, `expected.json`. Run it once for each format version, never to make a test pass:
 *
 *   npx node test/repository/golden/make.ts
 *
 * Content is the same each time; names of chains too. Salts, keys and the random bytes in each object are new each time.
 */
import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type BlobStore,
  FolderBlobStore,
  removePoint,
  type Unlock,
  voidClaim,
} from '../../../lib/repository/index.ts';
import { Lab, RETENTION } from '../../datapath/lab.ts';
import { ModelDisk, SECTOR } from '../../datapath/modelDisk.ts';
import type { Expected } from './expected.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const VERSION = 1;
export const PASSWORD = 'gölden horse';
const REMOVED_AT = new Date('2026-11-22T00:00:00Z');
/** Sectors of a page: 256 blocks of 4 KiB. */
const PAGE = 2048;

/** Bytes that no compressor makes smaller, the same each time. */
function noise(label: string, bytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < bytes; i++) parts.push(createHash('sha256').update(`${label} ${i}`).digest());
  return Buffer.concat(parts).subarray(0, bytes);
}

function writeNoise(disk: ModelDisk, first: number, count: number, label: string): void {
  disk.write(first, count, 0);
  noise(label, count * SECTOR).copy(disk.content, first * SECTOR);
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Writes the golden content into two empty containers, with the program as it is today. */
export async function writeGolden(
  stores: { readonly meta: BlobStore; readonly data: BlobStore },
  unlock: Unlock,
): Promise<Expected> {
  const lab = await Lab.start({ ...stores, unlock, shardBytes: 100 * 1024 });

  // 5003 sectors: the last of its 626 blocks is 3 sectors long.
  const os = new ModelDisk('os', 5003);
  os.write(0, 300, 3);
  os.write(PAGE, 60, 4);
  writeNoise(os, 320, 40, 'raw');
  os.write(4990, 13, 5);
  // 257 MiB and a bit: its root has two nodes.
  const data = new ModelDisk('data', 257 * PAGE + 5);
  data.write(40, 24, 6);
  data.write(257 * PAGE, 5, 7);
  await lab.backup([os, data]);

  // Removed below; the next one still refers to its blocks.
  os.write(8, 30, 9);
  writeNoise(data, 256 * PAGE + 16, 16, 'second node');
  await lab.backup([os, data]);

  // Cleared blocks, a page that becomes empty, a disk that grew, an empty disk.
  os.discard(160, 48);
  os.discard(PAGE, PAGE);
  os.grow(3001);
  os.write(7000, 20, 8);
  await lab.backup([os, data, new ModelDisk('empty', 800)]);

  await removePoint(lab.chain, { sequence: 2, by: 'golden', now: REMOVED_AT });
  lab.truth.delete(2);
  const abandoned = await lab.claim(lab.nextSession(), 3);
  await voidClaim(lab.chain, {
    sequence: abandoned.sequence,
    by: 'golden',
    now: REMOVED_AT,
    because: 'sessionEnded',
  });
  await lab.claim(lab.nextSession(), 3);

  return {
    format: VERSION,
    mode: 'mode' in unlock ? 'none' : 'encrypted',
    // As another keyboard may type it: readers must bring it to NFC.
    password: 'password' in unlock ? unlock.password.normalize('NFD') : null,
    repository: lab.chain.repository.id,
    chains: [
      {
        id: lab.chain.id,
        machine: lab.chain.machine,
        blockBytes: lab.blockBytes,
        voids: [
          { sequence: 2, reason: 'removed' },
          { sequence: 4, reason: 'abandoned' },
        ],
        points: [...lab.truth].map(([sequence, snapshots]) => ({
          sequence,
          retention: RETENTION,
          disks: [...snapshots].map(([uniqueId, { content }], number) => ({
            number,
            uniqueId,
            sizeBytes: content.length,
            sha256: sha256(content),
          })),
        })),
      },
    ],
  };
}

async function make(name: string, unlock: Unlock): Promise<void> {
  const folder = join(HERE, name);
  await rm(folder, { recursive: true, force: true });
  const [meta, data] = ['meta', 'data'].map((container) => join(folder, container));
  if (!meta || !data) throw new Error('two folders');
  const stores = { meta: new FolderBlobStore(meta), data: new FolderBlobStore(data) };
  const expected = await writeGolden(stores, unlock);
  await writeFile(join(folder, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`);
  for (const store of [meta, data])
    await rm(join(store, '.holdfast-scratch'), { recursive: true, force: true });
}

if (import.meta.main) {
  await make(`v${VERSION}-encrypted`, { password: PASSWORD });
  await make(`v${VERSION}-none`, { mode: 'none' });
}
