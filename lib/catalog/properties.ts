import { HoldfastError } from '../model/index.ts';
import type { Entity } from './entityTable.ts';

/** A table's limits: 32 K characters or 64 KiB a property, 1 MiB an entity. */
const CHARS = 32 * 1024;
const BYTES = 64 * 1024;
const MAX_ENTITY_BYTES = 1024 * 1024;

/** A document and its bytes as flat properties `document0...`, `bytes0...`; strings and binaries only. */
export type Properties = Record<string, string | Uint8Array>;

/** Throws `invalidInput` when the entity would be 1 MiB or more, because not every emulator does. */
export function toProperties(table: string, entity: Entity): Properties {
  const properties: Properties = {};
  const text = asciiJson(entity.document ?? null);
  for (let part = 0; part * CHARS < text.length; part++) {
    properties[`document${part}`] = text.slice(part * CHARS, (part + 1) * CHARS);
  }
  const bytes = entity.bytes;
  if (bytes) {
    for (let part = 0; part === 0 || part * BYTES < bytes.length; part++) {
      properties[`bytes${part}`] = bytes.subarray(part * BYTES, (part + 1) * BYTES);
    }
  }
  const size = entityBytes(entity.partition, entity.row, properties);
  if (size >= MAX_ENTITY_BYTES) {
    const name = `${entity.partition}/${entity.row}`;
    throw new HoldfastError(
      'invalidInput',
      `The entity ${name} of table ${table} would take ${size} bytes; a table holds less than ${MAX_ENTITY_BYTES}.`,
      { target: name },
    );
  }
  return properties;
}

export function fromProperties(properties: Readonly<Record<string, unknown>>): {
  document: unknown;
  bytes?: Uint8Array;
} {
  let text = '';
  for (let part = 0; ; part++) {
    const piece = properties[`document${part}`];
    if (typeof piece !== 'string') break;
    text += piece;
  }
  const pieces: Uint8Array[] = [];
  for (let part = 0; ; part++) {
    const piece = properties[`bytes${part}`];
    if (!(piece instanceof Uint8Array)) break;
    pieces.push(piece);
  }
  const document: unknown = text === '' ? null : JSON.parse(text);
  return pieces.length === 0 ? { document } : { document, bytes: Buffer.concat(pieces) };
}

/**
 * JSON in ASCII: it may be cut anywhere, and Azurite, which decodes each chunk of a request by itself, spoils a character whose bytes
 * come in two chunks.
 */
const asciiJson = (document: unknown): string =>
  JSON.stringify(document).replaceAll(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** The size as Table Storage counts it: 4, the keys and names at two bytes a character, 8 a property, the values. */
function entityBytes(partition: string, row: string, properties: Properties): number {
  let size = 4 + 2 * (partition.length + row.length);
  for (const [name, value] of Object.entries(properties)) {
    size += 8 + 2 * name.length + 4 + (typeof value === 'string' ? 2 * value.length : value.length);
  }
  return size;
}
