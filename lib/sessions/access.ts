import { z } from 'zod';
import { endOfSas } from '../azure/index.ts';
import type { Installation } from '../installation/index.ts';
import { HoldfastError, sameArmId } from '../model/index.ts';
import { noteWaits } from './live.ts';

/** A granted SAS is good for this long; a worker that meets its end asks again. */
const GRANT_SECONDS = 6 * 3600;
/** A SAS in memory is handed out again while it has at least this long to live. */
const MARGIN_MS = 90 * 60_000;

/** Nothing is wrong: others read snapshots of the disk, and this reader's turn has not come. */
export class AccessWaits extends HoldfastError {
  constructor(snapshotId: string, reason: string) {
    super('unavailable', `Access to snapshot ${snapshotId} has to wait: ${reason}.`, { target: snapshotId });
  }
}

export type Purpose = 'source' | 'base' | 'target';

/** A snapshot that somebody wants to read. */
export interface GrantedSnapshot {
  readonly id: string;
  readonly familyId: string;
}

interface Held {
  readonly url: string;
  readonly goodUntil: number;
}

/** SAS URLs that this process was granted: in memory only. Another process asks Azure again, which is harmless. */
const held = new WeakMap<Installation, Map<string, Held>>();

function cache(installation: Installation): Map<string, Held> {
  const known = held.get(installation) ?? new Map<string, Held>();
  held.set(installation, known);
  return known;
}

/**
 * A SAS URL to read a snapshot, on behalf of a session. The intent is written first, then the holder, then Azure is asked:
 * whatever is interrupted, the sweep finds the row.
 *
 * @throws `AccessWaits` (`unavailable`, retryable) while five snapshots of the family are being read, Azure's limit
 */
export async function readAccess(
  installation: Installation,
  sessionId: string,
  snapshot: GrantedSnapshot,
  purpose: 'source' | 'base',
): Promise<string> {
  const { catalog, clock } = installation;
  await writeIntent(installation, sessionId, {
    resourceId: snapshot.id,
    familyId: snapshot.familyId,
    purpose,
  });
  const until = new Date(clock.now().getTime() + GRANT_SECONDS * 1000).toISOString();
  const grantOf = { familyId: snapshot.familyId, snapshotId: snapshot.id };
  const answer = await catalog.grants.acquire(grantOf, { sessionId, purpose, until });
  await noteWaits(installation, sessionId, answer.wait ? ['access'] : [], ['access']);
  if (answer.wait) {
    throw new AccessWaits(snapshot.id, answer.reason);
  }
  return urlOf(installation, snapshot.id, () =>
    installation.azure.snapshots.grantRead(snapshot.id, GRANT_SECONDS),
  );
}

/** A SAS URL to write a disk in upload. It has one holder, the session that created the disk. */
export async function writeAccess(
  installation: Installation,
  sessionId: string,
  diskId: string,
): Promise<string> {
  await writeIntent(installation, sessionId, { resourceId: diskId, familyId: null, purpose: 'target' });
  return urlOf(installation, diskId, () =>
    installation.azure.grants.grantAccess(diskId, 'Write', GRANT_SECONDS),
  );
}

/** Forgets the SAS of a resource, so that the next caller asks Azure for a fresh one. For callers who were told 403. */
export function forgetAccess(installation: Installation, resourceId: string): void {
  cache(installation).delete(resourceId.toLowerCase());
}

async function urlOf(
  installation: Installation,
  resourceId: string,
  ask: () => Promise<string>,
): Promise<string> {
  const known = cache(installation).get(resourceId.toLowerCase());
  const now = installation.clock.now().getTime();
  if (known && known.goodUntil > now) return known.url;
  const url = await ask();
  // A SAS that names its own end (an unmanaged disk's) is short: each job gets a fresh one.
  const goodUntil = Math.min(now + GRANT_SECONDS * 1000, endOfSas(url).getTime()) - MARGIN_MS;
  cache(installation).set(resourceId.toLowerCase(), { url, goodUntil });
  return url;
}

/**
 * Gives back what the session may read or write; access ends in Azure when the last holder of a snapshot goes. May run
 * again: what is gone is gone.
 *
 * @param which only of this purpose, or to this resource; all when left out
 */
export async function releaseAccess(
  installation: Installation,
  sessionId: string,
  which: { readonly purpose?: Purpose; readonly resourceId?: string } = {},
): Promise<void> {
  const { catalog, azure } = installation;
  for (const { key, detail } of await catalog.intents.list(sessionId, 'grant')) {
    const { resourceId, familyId, purpose } = grantSchema.parse(detail);
    if (which.purpose !== undefined && which.purpose !== purpose) continue;
    if (which.resourceId !== undefined && !sameArmId(which.resourceId, resourceId)) continue;
    const grantOf = familyId === null ? null : { familyId, snapshotId: resourceId };
    const last = grantOf === null || (await catalog.grants.release(grantOf, sessionId, purpose)).last;
    if (last) {
      forgetAccess(installation, resourceId);
      if (grantOf) await azure.snapshots.endRead(resourceId);
      else await azure.grants.revokeAccess(resourceId);
      if (grantOf) await catalog.grants.ended(grantOf);
    }
    await catalog.intents.resolve(sessionId, 'grant', key);
  }
}

const grantSchema = z.object({
  resourceId: z.string(),
  /** Null for a disk in upload, which has no family and one holder. */
  familyId: z.string().nullable(),
  purpose: z.enum(['source', 'base', 'target']),
});

async function writeIntent(
  installation: Installation,
  sessionId: string,
  detail: z.infer<typeof grantSchema>,
): Promise<void> {
  await installation.catalog.intents.write(
    sessionId,
    'grant',
    `${detail.purpose}:${detail.resourceId}`,
    detail,
  );
}
