/** The list of disks, snapshots and layers: one small file, replaced whole. What it does not name does not exist. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DiskStoreError } from './errors.ts';

const head = z.object({
  kind: z.enum(['disk', 'snapshot']),
  lineage: z.string(),
  sequence: z.int(),
  sizeBytes: z.int(),
  layer: z.int(),
  createdAt: z.int(),
  uploading: z.boolean().optional(),
});

const catalog = z.object({
  format: z.literal(1),
  /** Counts openings: part of the revision of what can change. */
  opened: z.int(),
  next: z.object({ layer: z.int(), sequence: z.int() }),
  layers: z.array(z.object({ number: z.int(), parent: z.int().optional() })),
  heads: z.record(z.string(), head),
});

export type HeadRecord = z.infer<typeof head>;
export type CatalogRecord = z.infer<typeof catalog>;

const FILE = 'catalog.json';

export function loadCatalog(folder: string): CatalogRecord {
  const file = join(folder, FILE);
  if (!existsSync(file))
    return { format: 1, opened: 0, next: { layer: 1, sequence: 1 }, layers: [], heads: {} };
  try {
    return catalog.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new DiskStoreError(
      'damaged',
      `The disk store's list ${file} cannot be read (${(cause as Error).message}). Restore it, or remove the folder to begin with no disks.`,
    );
  }
}

/** Replaces the list in one step: after a kill it is the old or the new one. */
export function saveCatalog(folder: string, record: CatalogRecord): void {
  const file = join(folder, FILE);
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
