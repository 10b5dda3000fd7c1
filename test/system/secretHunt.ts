/** Looks for secrets in everything that a run has written: files, rows of databases, and what is encoded within them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** A secret that is known, in every form in which it may have been written. */
export interface Secret {
  readonly name: string;
  readonly forms: readonly string[];
}

/** A stretch of what was written. `content` has one character per byte. */
export interface Place {
  readonly name: string;
  readonly content: string;
}

export interface Found {
  readonly place: string;
  readonly secret: string;
}

/** Secrets by their shape, for those that nobody but their holder knows. */
const SHAPES: Readonly<Record<string, RegExp>> = {
  'a SAS signature': /sig(?:=|%3d|%253d|\\u003d)(?!REDACTED)[A-Za-z0-9%+/_-]{16,}/i,
  'a bearer token': /eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/,
};
/** Programs speak of secrets by their shape, as this file does. */
const PROGRAMS = /^(dist|packages|azure\/guests\/[^/]+\/opt\/holdfast)\//;

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Of a text: itself, escaped for a URL, and in base64 as a whole. */
export function textSecret(name: string, text: string): Secret {
  return {
    name,
    forms: [...new Set([text, encodeURIComponent(text), Buffer.from(text).toString('base64')])],
  };
}

/** Of bytes: themselves, hexadecimal, and base64 in both alphabets. */
export function keySecret(name: string, key: Uint8Array): Secret {
  const bytes = Buffer.from(key);
  const base64 = bytes.toString('base64');
  return {
    name,
    forms: [
      latin(bytes),
      bytes.toString('hex'),
      base64,
      bytes.toString('base64url'),
      encodeURIComponent(base64),
    ],
  };
}

/** Every file below `folder`; databases also row by row, and the customData of VMs as cloud-init reads it. */
export function placesIn(folder: string): Place[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return files.flatMap((file) => {
    const name = relative(folder, file);
    const whole = { name, content: latin(readFileSync(file)) };
    return name.endsWith('.sqlite') ? [whole, ...rowsOf(name, file)] : [whole];
  });
}

/** A row may be torn over the pages of its file, so that a search in the bytes alone would miss it. */
function rowsOf(name: string, file: string): Place[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const tables = database.prepare("select name from sqlite_schema where type = 'table'").all();
    return tables.flatMap(({ name: table }) => {
      const rows = database.prepare(`select * from "${String(table)}"`).all();
      return rows.flatMap((row, i) => {
        const place = `${name}: ${String(table)} ${String(row.collection ?? i)}`;
        const content = Buffer.from(Object.values(row).map(String).join('\n')).toString('latin1');
        const customData = /"customData":"([A-Za-z0-9+/=]+)"/.exec(content)?.[1];
        const decoded = customData && latin(Buffer.from(customData, 'base64'));
        return [
          { name: place, content },
          ...(decoded ? [{ name: `${place} customData`, content: decoded }] : []),
        ];
      });
    });
  } finally {
    database.close();
  }
}

/** Every secret in every place, sorted by place; a place that may hold a secret is said by `allowed`. */
export function hunt(
  places: readonly Place[],
  secrets: readonly Secret[],
  allowed: (place: string, secret: string) => boolean,
): Found[] {
  const found = new Map<string, Found>();
  const note = (place: string, secret: string) => {
    if (!allowed(place, secret)) found.set(`${place}\n${secret}`, { place, secret });
  };
  for (const { name, content } of places) {
    for (const { name: secret, forms } of secrets) {
      if (forms.some((form) => content.includes(form))) note(name, secret);
    }
    if (PROGRAMS.test(name)) continue;
    for (const [shape, pattern] of Object.entries(SHAPES)) if (pattern.test(content)) note(name, shape);
  }
  return [...found.values()].sort((a, b) => (a.place + a.secret < b.place + b.secret ? -1 : 1));
}
