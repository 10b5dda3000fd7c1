import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { corruptObject } from '../damage.ts';
import type { KeyWrapper } from './keyWrapper.ts';

const base64 = (bytes: number) =>
  z.base64().refine((text) => Buffer.from(text, 'base64').length === bytes, `must hold ${bytes} bytes`);

/** Bytes of a modulus: RSA of 2048, 3072 or 4096 bits. */
const MODULUS_BYTES = [256, 384, 512];

/**
 * The master key, wrapped with a key that is drawn for this slot, which is wrapped with a key of Key Vault. Two steps, because
 * RSA-OAEP at Key Vault takes no label: the inner one binds the slot to its repository, its id and its key.
 */
export const keyVaultSlotSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-z-]{1,40}$/),
  kind: z.literal('keyVault'),
  algorithm: z.literal('RSA-OAEP-256'),
  /** Identifier of the key with its version. */
  key: z
    .string()
    .max(400)
    .regex(/^https:\/\/[^/?#]+\/keys\/[0-9A-Za-z-]{1,127}\/[0-9A-Za-z]{1,64}$/),
  wrappedKey: z
    .base64()
    .refine((text) => MODULUS_BYTES.includes(Buffer.from(text, 'base64').length), 'is of no known length'),
  nonce: base64(12),
  /** AES-256-GCM of the master key: 32 bytes and the tag. */
  wrapped: base64(48),
});
export type KeyVaultSlot = z.infer<typeof keyVaultSlotSchema>;

const associated = (repository: string, slot: string, key: string) =>
  Buffer.from(`holdfast/1/slot\0${repository}\0${slot}\0${key}`);

/** `key`: with its version, or without: then the newest one wraps. */
export async function wrapWithKeyVault(
  master: Buffer,
  repository: string,
  id: string,
  wrapper: KeyWrapper,
  key: string,
): Promise<KeyVaultSlot> {
  const inner = randomBytes(32);
  const nonce = randomBytes(12);
  const outer = await wrapper.wrap(key, inner);
  const cipher = createCipheriv('aes-256-gcm', inner, nonce);
  cipher.setAAD(associated(repository, id, outer.key));
  const wrapped = Buffer.concat([cipher.update(master), cipher.final(), cipher.getAuthTag()]);
  return keyVaultSlotSchema.parse({
    id,
    kind: 'keyVault',
    algorithm: 'RSA-OAEP-256',
    key: outer.key,
    wrappedKey: outer.wrapped.toString('base64'),
    nonce: nonce.toString('base64'),
    wrapped: wrapped.toString('base64'),
  });
}

/** The master key. Throws what the vault says, or `corruptObject` when the slot was not made for this repository and key. */
export async function unwrapWithKeyVault(
  slot: KeyVaultSlot,
  repository: string,
  wrapper: KeyWrapper,
): Promise<Buffer> {
  const inner = await wrapper.unwrap(slot.key, Buffer.from(slot.wrappedKey, 'base64'));
  const bad = (cause?: unknown) =>
    corruptObject(`key slot ${slot.id}`, `what ${slot.key} wrapped is not the key of this repository`, cause);
  if (inner.length !== 32) throw bad();
  const wrapped = Buffer.from(slot.wrapped, 'base64');
  const cipher = createDecipheriv('aes-256-gcm', inner, Buffer.from(slot.nonce, 'base64'), {
    authTagLength: 16,
  });
  cipher.setAAD(associated(repository, slot.id, slot.key));
  cipher.setAuthTag(wrapped.subarray(32));
  const master = cipher.update(wrapped.subarray(0, 32));
  try {
    cipher.final();
    return master;
  } catch (error) {
    throw bad(error);
  }
}

/** The key without its version: what asks for the newest one. */
export const withoutVersion = (key: string): string =>
  key.replace(/^(https:\/\/[^/]+\/keys\/[^/]+).*$/, '$1');
