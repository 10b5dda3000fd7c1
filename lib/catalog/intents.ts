import { z } from 'zod';
import { type Clock, sessionIdSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { joinKey, keyPart, keysUnder } from './keys.ts';
import { contend, Rows } from './rows.ts';

const intentKindSchema = z.enum([
  'snapshot',
  'restorePoint',
  'guest',
  'grant',
  'worker',
  'claim',
  'disk',
  'chain',
  'lease',
]);
export type IntentKind = z.infer<typeof intentKindSchema>;

const intentSchema = z.object({
  sessionId: sessionIdSchema,
  kind: intentKindSchema,
  /** What is about to be made, by the name it will have: an ARM id, `pool/slot`, `chain/sequence`. */
  key: z.string(),
  /** What the sweep needs to undo it, beyond the name. Nothing secret. */
  detail: z.record(z.string(), z.unknown()),
  writtenAt: z.iso.datetime(),
});
export type Intent = z.infer<typeof intentSchema>;

/**
 * What sessions are about to make or hold, written before the call that makes it and resolved when the thing is gone, or
 * handed over to something that keeps account of it. Whatever a dead session leaves is found here.
 */
export class Intents {
  readonly #rows: Rows<Intent>;
  readonly #clock: Clock;

  constructor(table: EntityTable, clock: Clock) {
    this.#rows = new Rows(table, intentSchema);
    this.#clock = clock;
  }

  /** Writes an intent. Written again it keeps its time and takes the new `detail`. */
  write(
    sessionId: string,
    kind: IntentKind,
    key: string,
    detail: Record<string, unknown> = {},
  ): Promise<Intent> {
    const [partition, row] = name(sessionId, kind, key);
    return contend(`intent ${kind} ${key}`, async () => {
      const current = await this.#rows.get(partition, row);
      const writtenAt = current?.value.writtenAt ?? this.#clock.now().toISOString();
      const intent: Intent = { sessionId, kind, key, detail, writtenAt };
      const written = current
        ? await this.#rows.replace(partition, row, intent, current.etag)
        : await this.#rows.insert(partition, row, intent);
      return written.value;
    });
  }

  /** The thing is gone or handed over. Again, or unknown: no error. */
  resolve(sessionId: string, kind: IntentKind, key: string): Promise<void> {
    return this.#rows.remove(...name(sessionId, kind, key));
  }

  /** Open intents of a session, of one kind where one is given. */
  async list(sessionId: string, kind?: IntentKind): Promise<Intent[]> {
    const range = kind === undefined ? {} : keysUnder(kind);
    return this.#rows.values({ partition: keyPart(sessionId), ...range });
  }

  /** Sessions with open intents. Reads the whole table, which holds little: what is resolved is gone. */
  async sessions(): Promise<string[]> {
    const found = new Set<string>();
    for await (const { value } of this.#rows.list({})) found.add(value.sessionId);
    return [...found];
  }
}

const name = (sessionId: string, kind: IntentKind, key: string): [string, string] => [
  keyPart(sessionId),
  joinKey(kind, key),
];
