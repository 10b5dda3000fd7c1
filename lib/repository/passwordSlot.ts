import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { z } from 'zod';
import { HoldfastError } from '../model/index.ts';

const MAX_COST = 2 ** 20;
/** A slot must not be able to ask for more: whoever can write the container can write a slot. */
const MAX_MEMORY = 2 ** 30;
const base64 = (bytes: number) =>
  z.base64().refine((text) => Buffer.from(text, 'base64').length === bytes, `must hold ${bytes} bytes`);

/** The master key, wrapped with a key that scrypt makes of a password. */
export const passwordSlotSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-z-]{1,40}$/),
  kind: z.literal('password'),
  scrypt: z
    .strictObject({
      N: z.number().int().min(2).max(MAX_COST),
      r: z.number().int().min(1).max(32),
      p: z.number().int().min(1).max(16),
      salt: base64(32),
    })
    .refine(({ N, r }) => 128 * N * r <= MAX_MEMORY, 'asks for too much memory'),
  nonce: base64(12),
  /** AES-256-GCM of the master key: 32 bytes and the tag. */
  wrapped: base64(48),
});
export type PasswordSlot = z.infer<typeof passwordSlotSchema>;

/** Cost of guessing a password: memory is 128 * N * r bytes. The default takes 64 MiB and about a fifth of a second. */
export interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}
export const DEFAULT_SCRYPT: ScryptCost = { N: 2 ** 16, r: 8, p: 1 };

function stretch(password: string, salt: Buffer, cost: ScryptCost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { N: cost.N, r: cost.r, p: cost.p, maxmem: 256 * cost.N * cost.r + 2 ** 20 };
    scrypt(password.normalize('NFC'), salt, 32, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

const associated = (repository: string, slot: string) =>
  Buffer.from(`holdfast/1/slot\0${repository}\0${slot}`);

export async function wrapWithPassword(
  master: Buffer,
  repository: string,
  id: string,
  password: string,
  cost: ScryptCost = DEFAULT_SCRYPT,
): Promise<PasswordSlot> {
  if (password.length === 0) {
    throw new HoldfastError('invalidInput', 'The password of a repository must not be empty.', {
      target: 'password',
    });
  }
  const salt = randomBytes(32);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await stretch(password, salt, cost), nonce);
  cipher.setAAD(associated(repository, id));
  const wrapped = Buffer.concat([cipher.update(master), cipher.final(), cipher.getAuthTag()]);
  return {
    id,
    kind: 'password',
    scrypt: { N: cost.N, r: cost.r, p: cost.p, salt: salt.toString('base64') },
    nonce: nonce.toString('base64'),
    wrapped: wrapped.toString('base64'),
  };
}

/** The master key, or null when the password does not open this slot. */
export async function unwrapWithPassword(
  slot: PasswordSlot,
  repository: string,
  password: string,
): Promise<Buffer | null> {
  const key = await stretch(password, Buffer.from(slot.scrypt.salt, 'base64'), slot.scrypt);
  const wrapped = Buffer.from(slot.wrapped, 'base64');
  const cipher = createDecipheriv('aes-256-gcm', key, Buffer.from(slot.nonce, 'base64'), {
    authTagLength: 16,
  });
  cipher.setAAD(associated(repository, slot.id));
  cipher.setAuthTag(wrapped.subarray(32));
  const master = cipher.update(wrapped.subarray(0, 32));
  try {
    cipher.final();
    return master;
  } catch {
    return null;
  }
}
