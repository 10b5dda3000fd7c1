import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_CHARS = 10;
const TAIL_CHARS = 10;

/** A session's id: 10 characters of time and 10 of seed, lower-case Crockford base 32, so that ids sort by their start. */
export const sessionIdSchema = z
  .string()
  .regex(/^[0-9a-hjkmnp-tv-z]{20}$/, 'a session id has 20 characters of Crockford base 32');
/** A machine's id is Azure's `vmId`: it survives renames and moves, and differs when a VM is made anew under an old name. */
export const machineIdSchema = z
  .string()
  .regex(
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    'a machine id is the vmId of the VM, a lower-case GUID',
  );
export const chainIdSchema = z
  .string()
  .regex(/^[0-9a-hjkmnp-tv-z]{16}$/, 'a chain id has 16 characters of Crockford base 32');
export const policyIdSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'a policy id has 1 to 40 characters of a-z, 0-9 and -');

function base32(bytes: Uint8Array, chars: number): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  let out = '';
  for (let i = 0; i < chars; i++) {
    out = CROCKFORD[Number(value & 31n)] + out;
    value >>= 5n;
  }
  return out;
}

/**
 * The id of the session that `seed` (a slot and a machine, an idempotency key) asks for at `at`. The same seed and time
 * give the same id, so that a starter that runs twice starts one session.
 */
export function sessionId(at: Date, seed?: string): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(at.getTime()));
  const tail =
    seed === undefined ? randomBytes(8) : createHash('sha256').update(seed).digest().subarray(0, 8);
  return base32(time, TIME_CHARS) + base32(tail, TAIL_CHARS);
}

/** Sorts before the id of every session of `at` or later, and after those of earlier ones. */
export function firstSessionId(at: Date): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(at.getTime()));
  return base32(time, TIME_CHARS) + CROCKFORD.charAt(0).repeat(TAIL_CHARS);
}

/** The chain that a session founds for a machine: derived, so that the session's second try finds its first one's chain. */
export const chainIdFor = (session: string, machineId: string): string =>
  base32(createHash('sha256').update(`${session}/${machineId}`).digest().subarray(0, 12), 16);
