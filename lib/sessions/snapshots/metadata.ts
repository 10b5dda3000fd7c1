import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { z } from 'zod';
import {
  chainIdSchema,
  HoldfastError,
  machineConfigurationSchema,
  snapshotRulesSchema,
} from '../../model/index.ts';

/**
 * What a set of snapshots says of itself, beyond its plain tags: enough to rebuild the machine, and to go on with its chain
 * and its retention, without a catalog.
 */
const snapshotMetadataSchema = z.object({
  version: z.literal(1),
  configuration: machineConfigurationSchema,
  /** The policy that asked; null: a person. */
  policyId: z.string().nullable(),
  /** Where a backup of these snapshots goes; null: none is made of them. */
  chain: z
    .object({
      repositoryId: z.string(),
      chainId: chainIdSchema,
      /** The number of the restore point, and so how many the chain has had. */
      sequence: z.number().int().positive(),
    })
    .nullable(),
  /** Every disk of the set, by its number. */
  disks: z.array(z.object({ number: z.number().int().nonnegative(), uniqueId: z.string() })),
  /** How long snapshots stay, for when no policy speaks; null: nothing was said. */
  retention: snapshotRulesSchema.nullable(),
});
export type SnapshotMetadata = z.infer<typeof snapshotMetadataSchema>;

const sealKey = (installationKey: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', installationKey, Buffer.alloc(0), 'holdfast/snapshot-tags/1', 32));

/** Seals the metadata: base64url of nonce, ciphertext and authentication tag. Each call draws a new nonce. */
export function sealMetadata(metadata: SnapshotMetadata, sessionId: string, installationKey: Buffer): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', sealKey(installationKey), nonce);
  cipher.setAAD(Buffer.from(sessionId));
  const plain = deflateRawSync(JSON.stringify(metadata), { level: 9 });
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString(
    'base64url',
  );
}

/** Throws `corruptObject` when the text is not what `sealMetadata` made for this session with this key. */
export function openMetadata(sealed: string, sessionId: string, installationKey: Buffer): SnapshotMetadata {
  const bytes = Buffer.from(sealed, 'base64url');
  try {
    const decipher = createDecipheriv('aes-256-gcm', sealKey(installationKey), bytes.subarray(0, 12));
    decipher.setAAD(Buffer.from(sessionId));
    decipher.setAuthTag(bytes.subarray(-16));
    const plain = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
    return snapshotMetadataSchema.parse(JSON.parse(inflateRawSync(plain).toString('utf8')));
  } catch (cause) {
    throw new HoldfastError(
      'corruptObject',
      `The tags of the snapshots of session ${sessionId} do not open with this installation's key.`,
      { target: sessionId, cause },
    );
  }
}
