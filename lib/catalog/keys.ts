import { HoldfastError } from '../model/index.ts';
import { KEY } from './entityTable.ts';

/** Joins the parts of a key; no part contains it, because `keyPart` escapes it. */
const SEPARATOR = '~';

/** Any text as a part of a key: what a table refuses (`/ \ # ?`, spaces, ...) is written `!xx`, byte by byte of UTF-8. */
export const keyPart = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9._:-]/gu, (char) =>
    [...Buffer.from(char, 'utf8')].map((byte) => `!${byte.toString(16).padStart(2, '0')}`).join(''),
  );

export const joinKey = (...parts: readonly string[]): string => parts.map(keyPart).join(SEPARATOR);

/** A number as a key that sorts by value: twelve digits. */
export const numberKey = (n: number): string => String(n).padStart(12, '0');

/** The rows whose key begins with these parts and has more. The separator sorts after all that a part can begin with. */
export const keysUnder = (...parts: readonly string[]): { from: string; before: string } => {
  const prefix = joinKey(...parts) + SEPARATOR;
  return { from: prefix, before: prefix + SEPARATOR };
};

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** A base 32 id, mirrored, so that ids that grow with time sort newest first. Its own inverse. */
export const invertId = (id: string): string =>
  id.replaceAll(/[0-9a-z]/g, (char) => ALPHABET[ALPHABET.length - 1 - ALPHABET.indexOf(char)] ?? char);

export function assertKey(table: string, ...keys: readonly string[]): void {
  for (const key of keys) {
    if (!KEY.test(key)) {
      throw new HoldfastError('invalidInput', `"${key.slice(0, 100)}" cannot be a key of table ${table}.`, {
        target: key.slice(0, 100),
      });
    }
  }
}
