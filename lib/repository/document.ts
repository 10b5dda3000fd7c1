import { createHash, createHmac } from 'node:crypto';
import type { z } from 'zod';
import { corruptObject, decoding } from './damage.ts';
import type { SealingKey } from './keys.ts';

/**
 * A document that can be read before there is a key: three lines, each ended by a line feed.
 *
 *   1. JSON
 *   2. SHA-256 of line 1, hex: tells an accident from a wrong password
 *   3. HMAC-SHA-256 of `name NUL line 1` under the document key, hex; in mode `none` a dash
 */
export function encodeDocument(key: SealingKey, name: string, value: unknown): Buffer {
  const line = JSON.stringify(value);
  return Buffer.from(`${line}\n${sum(line)}\n${mac(key, name, line)}\n`, 'utf8');
}

/** Line 1, parsed; `corruptObject` when its sum does not match. Not authenticated: call `authenticateDocument` with the key. */
export function readDocument<T>(name: string, bytes: Buffer, schema: z.ZodType<T>): T {
  const [line = '', check, tag, rest] = split(bytes);
  if (check !== sum(line) || tag === undefined || rest !== '')
    throw corruptObject(name, 'its checksum does not match');
  return decoding(name, 'its text', () => schema.parse(JSON.parse(line)));
}

/** Throws `corruptObject` unless the document was written under this name with this key, byte for byte. */
export function authenticateDocument(key: SealingKey, name: string, bytes: Buffer): void {
  const [line = ''] = split(bytes);
  const whole = Buffer.from(`${line}\n${sum(line)}\n${mac(key, name, line)}\n`, 'utf8');
  if (!whole.equals(bytes)) throw corruptObject(name, 'it is not authentic');
}

const split = (bytes: Buffer): string[] => bytes.toString('utf8').split('\n');
const sum = (line: string): string => createHash('sha256').update(line, 'utf8').digest('hex');
const mac = (key: SealingKey, name: string, line: string): string =>
  key ? createHmac('sha256', key).update(`${name}\0${line}`, 'utf8').digest('hex') : '-';
