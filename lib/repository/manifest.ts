import { z } from 'zod';
import {
  carriedRetentionSchema,
  chainIdSchema,
  consistencySchema,
  HoldfastError,
  leftOutDiskSchema,
  machineConfigurationSchema,
  type RestorePoint,
  restorePointDiskSchema,
  sessionIdSchema,
} from '../model/index.ts';
import { FORMAT_VERSION } from './sealedObject.ts';

const count = z.number().int().nonnegative();
const tag = z.string().regex(/^[0-9a-f]{32}$/);

/** The block map of one disk: its tree object, which an older point may have written, and the record of its root. */
export const treeRefSchema = z.strictObject({
  sequence: z.number().int().positive(),
  disk: count,
  attempt: z.number().int().positive(),
  length: z.number().int().positive(),
  tag,
});
export type TreeRef = z.infer<typeof treeRefSchema>;

/** A map object that this point's session wrote. */
export const mapRefSchema = z.strictObject({
  shard: count,
  attempt: z.number().int().positive(),
  length: z.number().int().positive(),
  tag,
});
export type MapRef = z.infer<typeof mapRefSchema>;

export const manifestDiskSchema = restorePointDiskSchema.extend({
  sectorSize: z.number().int().positive(),
  tree: treeRefSchema,
  maps: z.array(mapRefSchema),
});
/** One disk of a point. Its block map starts at `tree`. */
export type ManifestDisk = z.infer<typeof manifestDiskSchema>;

const diskNumbersSchema = z.array(z.strictObject({ uniqueId: z.string(), number: count }));

const common = {
  format: z.literal(FORMAT_VERSION),
  chain: chainIdSchema,
  sequence: z.number().int().positive(),
  /** The session that holds the number, and its epoch: what makes a point one's own. */
  session: z.string(),
  epoch: count,
};

export const pointManifestSchema = z.strictObject({
  ...common,
  state: z.literal('point'),
  session: sessionIdSchema,
  installation: z.string(),
  /** Sequence of the point it was made from; informative: nothing depends on it. */
  parent: z.number().int().positive().nullable(),
  policyId: z.string().nullable(),
  takenAt: z.iso.datetime(),
  committedAt: z.iso.datetime(),
  consistency: consistencySchema,
  configuration: machineConfigurationSchema,
  /** Every disk number that was ever given in this chain. A number is never given twice. */
  diskNumbers: diskNumbersSchema,
  disks: z.array(manifestDiskSchema),
  /** Disks that the machine had and that are no part of the point; absent: none. */
  leftOut: z.array(leftOutDiskSchema).min(1).optional(),
  /** Flags, rules and expiry that it was made with, so that it expires without the service; null: nothing says how long. */
  retention: carriedRetentionSchema.nullable(),
});
/** A restore point. */
export type PointManifest = z.infer<typeof pointManifestSchema>;

export const voidManifestSchema = z.strictObject({
  ...common,
  state: z.literal('void'),
  /** `abandoned`: its session ended without a point. `removed`: it was a point. */
  reason: z.enum(['abandoned', 'removed']),
  by: z.string(),
  voidedAt: z.iso.datetime(),
  /** Of a removed point, so that no number is given twice. */
  diskNumbers: diskNumbersSchema,
  /** The roots of a removed point, which collection honours for a while. */
  disks: z.array(
    z.strictObject({ number: count, sizeBytes: z.number().int().positive(), tree: treeRefSchema }),
  ),
});
/** A number that is taken and holds no restore point. */
export type VoidManifest = z.infer<typeof voidManifestSchema>;

export const manifestSchema = z.discriminatedUnion('state', [pointManifestSchema, voidManifestSchema]);
export type Manifest = z.infer<typeof manifestSchema>;

/** A catalog row carries a manifest whole, and holds less than 1 MiB. */
export const MAX_MANIFEST_BYTES = 900 * 1024;

export function encodeManifest(manifest: Manifest): Buffer {
  const bytes = Buffer.from(JSON.stringify(manifest), 'utf8');
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new HoldfastError(
      'unsupported',
      `The manifest of ${manifest.chain}/${manifest.sequence} would take ${bytes.length} bytes; ${MAX_MANIFEST_BYTES} is the limit. Use larger shards, or protect fewer disks with one machine.`,
      { target: `${manifest.chain}/${manifest.sequence}` },
    );
  }
  return bytes;
}

/** A point as the catalog and the API show it. */
export function describePoint(manifest: PointManifest): RestorePoint {
  return {
    chainId: manifest.chain,
    sequence: manifest.sequence,
    machineId: manifest.configuration.machine.id,
    machineName: manifest.configuration.machine.name,
    sessionId: manifest.session,
    kind: manifest.disks.every((disk) => disk.readReason === 'first') ? 'full' : 'incremental',
    consistency: manifest.consistency,
    takenAt: manifest.takenAt,
    committedAt: manifest.committedAt,
    disks: manifest.disks.map((disk) => restorePointDiskSchema.parse(disk)),
    ...(manifest.leftOut ? { leftOut: manifest.leftOut } : {}),
  };
}

/**
 * Disk numbers for a new point: a known disk (by `uniqueId`) keeps its number, another gets the next that was never given.
 * Pure; `parent` is the point the new one is made from.
 */
export function assignDiskNumbers(
  parent: Pick<PointManifest, 'diskNumbers'> | null,
  uniqueIds: readonly string[],
): Map<string, number> {
  const known = new Map(parent?.diskNumbers.map(({ uniqueId, number }) => [uniqueId, number]));
  let next = Math.max(-1, ...known.values()) + 1;
  const numbers = new Map<string, number>();
  for (const uniqueId of uniqueIds) numbers.set(uniqueId, known.get(uniqueId) ?? next++);
  return numbers;
}
