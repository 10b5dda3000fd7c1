import { z } from 'zod';
import { type Clock, sameArmId, sessionIdSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { keyPart } from './keys.ts';
import { contend, Rows, type Versioned } from './rows.ts';

/** The service gives at most this many access URLs at a time for the snapshots of one disk. */
export const MAX_GRANTS_PER_FAMILY = 5;

const holderSchema = z.object({
  sessionId: sessionIdSchema,
  /** What it is for: `read`, `base`, ... A session may hold one snapshot for several purposes. */
  purpose: z.string(),
  /** The access ends by itself then, unless it is acquired again. */
  until: z.iso.datetime(),
});
export type GrantHolder = z.infer<typeof holderSchema>;

const grantSchema = z.object({
  snapshotId: z.string(),
  /** Empty: nobody uses it any more and `endGetAccess` is due. It counts until `ended` says that this was done. */
  holders: z.array(holderSchema),
});

const familySchema = z.object({
  familyId: z.string(),
  grants: z.array(grantSchema).max(MAX_GRANTS_PER_FAMILY),
  /** Somebody is deleting a snapshot of the family: nothing is granted until then. */
  deletion: z.object({ sessionId: sessionIdSchema, until: z.iso.datetime() }).nullable(),
});
export type GrantFamily = z.infer<typeof familySchema>;

export type AcquireAnswer = { readonly wait: false } | { readonly wait: true; readonly reason: string };

export interface GrantOf {
  readonly familyId: string;
  readonly snapshotId: string;
}

/**
 * Who uses the access to which snapshot. Grants belong to snapshots: two sessions that read one snapshot share its URL, and
 * access ends with the last of them.
 *
 * One row per *family*, because each rule is about the family: at most five grants, and no deletion while one is held. All of
 * it is one read-modify-write, and every call may be repeated.
 */
export class Grants {
  readonly #rows: Rows<GrantFamily>;
  readonly #clock: Clock;

  constructor(table: EntityTable, clock: Clock) {
    this.#rows = new Rows(table, familySchema);
    this.#clock = clock;
  }

  /**
   * Before `beginGetAccess`: notes the session as a holder until `until`; the same session and purpose again move `until`.
   * `wait`: the family has its five, the last access to this snapshot is being ended, or a snapshot is being deleted.
   */
  acquire(grant: GrantOf, holder: GrantHolder): Promise<AcquireAnswer> {
    return this.#change(grant.familyId, (family) => {
      const { deletion } = family;
      if (deletion && deletion.until > this.#now()) {
        return [family, wait(`a snapshot of the disk is being deleted by session ${deletion.sessionId}`)];
      }
      const held = family.grants.find(({ snapshotId }) => sameArmId(snapshotId, grant.snapshotId));
      if (held?.holders.length === 0) return [family, wait('its last access is being ended')];
      if (!held && family.grants.length >= MAX_GRANTS_PER_FAMILY) {
        return [
          family,
          wait(`${MAX_GRANTS_PER_FAMILY} snapshots of the disk are being read, which is the limit`),
        ];
      }
      const others = held?.holders.filter((other) => !sameHolder(other, holder)) ?? [];
      const next = { snapshotId: held?.snapshotId ?? grant.snapshotId, holders: [...others, holder] };
      return [{ ...family, grants: [...without(family, grant.snapshotId), next] }, { wait: false }];
    });
  }

  /**
   * A session needs the access no more, for this purpose or for any. `last`: nobody else does; call `endGetAccess`, then
   * `ended`. Repeated before `ended`, the answer is `last` again.
   */
  release(grant: GrantOf, sessionId: string, purpose?: string): Promise<{ last: boolean }> {
    return this.#change(grant.familyId, (family) => {
      const held = family.grants.find(({ snapshotId }) => sameArmId(snapshotId, grant.snapshotId));
      if (!held) return [family, { last: false }];
      const holders = held.holders.filter(
        (other) => other.sessionId !== sessionId || (purpose !== undefined && other.purpose !== purpose),
      );
      const next = { ...held, holders };
      const grants =
        holders.length === held.holders.length ? family.grants : [...without(family, grant.snapshotId), next];
      return [{ ...family, grants }, { last: holders.length === 0 }];
    });
  }

  /** `endGetAccess` was done: the grant is free. A grant that has a holder again stays. */
  async ended(grant: GrantOf): Promise<void> {
    await this.#change(grant.familyId, (family) => {
      const held = family.grants.find(({ snapshotId }) => sameArmId(snapshotId, grant.snapshotId));
      if (!held || held.holders.length > 0) return [family, null];
      return [{ ...family, grants: without(family, grant.snapshotId) }, null];
    });
  }

  /**
   * Before a snapshot is deleted: true if no snapshot of its family has a grant; none is given then until `endDeletion`, or
   * `until`. False: later.
   */
  beginDeletion(familyId: string, sessionId: string, until: Date): Promise<boolean> {
    return this.#change(familyId, (family) => {
      const busy = family.grants.length > 0;
      const others =
        family.deletion && family.deletion.sessionId !== sessionId && family.deletion.until > this.#now();
      if (busy || others) return [family, false];
      return [{ ...family, deletion: { sessionId, until: until.toISOString() } }, true];
    });
  }

  async endDeletion(familyId: string, sessionId: string): Promise<void> {
    await this.#change(familyId, (family) =>
      family.deletion?.sessionId === sessionId ? [{ ...family, deletion: null }, null] : [family, null],
    );
  }

  async get(familyId: string): Promise<GrantFamily | null> {
    return (await this.#rows.get(keyPart(familyId), ROW))?.value ?? null;
  }

  /** All families with a grant or a deletion: the whole table, for the sweep. */
  async list(): Promise<GrantFamily[]> {
    return this.#rows.values({});
  }

  /** A family without grants has no row. */
  #change<R>(familyId: string, decide: (family: GrantFamily) => [GrantFamily, R]): Promise<R> {
    const partition = keyPart(familyId);
    return contend(`grants of ${familyId}`, async () => {
      const current: Versioned<GrantFamily> | null = await this.#rows.get(partition, ROW);
      const before = current?.value ?? { familyId, grants: [], deletion: null };
      const [after, answer] = decide(before);
      const empty = after.grants.length === 0 && after.deletion === null;
      if (!current) {
        if (!empty) await this.#rows.insert(partition, ROW, after);
      } else if (empty) await this.#rows.table.remove(partition, ROW, current.etag);
      else if (JSON.stringify(after) !== JSON.stringify(before)) {
        await this.#rows.replace(partition, ROW, after, current.etag);
      }
      return answer;
    });
  }

  #now(): string {
    return this.#clock.now().toISOString();
  }
}

const ROW = 'family';
const wait = (reason: string): AcquireAnswer => ({ wait: true, reason });
const sameHolder = (a: GrantHolder, b: GrantHolder): boolean =>
  a.sessionId === b.sessionId && a.purpose === b.purpose;
const without = (family: GrantFamily, snapshot: string) =>
  family.grants.filter(({ snapshotId }) => !sameArmId(snapshotId, snapshot));
