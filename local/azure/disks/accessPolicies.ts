/**
 * Who may read or write which disk through a SAS. As on Azure, rights and expiry are in a stored policy that the SAS only names (`si`): a
 * revoked or expired policy ends every URL that names it, at once.
 *
 * Kept in one file, replaced whole. It holds the secret that signs the URLs and is readable by its owner only.
 */
import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const grantRecord = z.object({
  si: z.string(),
  /** Id of the disk or snapshot in the disk store. */
  target: z.string(),
  /** `Write` includes reading: a restore reads back what it wrote. */
  access: z.enum(['Read', 'Write']),
  container: z.string(),
  snapshotTime: z.string().optional(),
  /** The SAS alone is not enough: a bearer token for disk.compute.azure.com must come with it. */
  requiresToken: z.boolean(),
  grantedAt: z.string(),
  expiresAt: z.string(),
});

const policyFile = z.object({ format: z.literal(1), secret: z.string(), grants: z.array(grantRecord) });

/** A stored access policy. Times are ISO 8601. */
export type Grant = z.infer<typeof grantRecord>;

interface GrantRequest {
  target: string;
  access: 'Read' | 'Write';
  /** Path of the blob's container: `md-` and lower-case letters, digits, dashes. Snapshots of one family share it. */
  container: string;
  /** Of an incremental snapshot: the `snapshot=` of its URL (see `snapshotTime`). Only such snapshots have diffs. */
  snapshotTime?: string;
  expiresAt: Date;
  /** `dataAccessAuthMode: AzureActiveDirectory`. Default false. */
  requiresToken?: boolean;
}

/** What the holder of a grant gets. Both strings are secrets: they carry the signature. */
export interface IssuedGrant {
  si: string;
  /** Query string without `?`. */
  query: string;
  /** Path and query, to be put behind the data plane's origin. */
  pathAndQuery: string;
}

export interface AccessPolicies {
  /** Makes a policy and its SAS. Kept when it returns. Every call makes another policy. */
  grant(request: GrantRequest): IssuedGrant;
  /** The same SAS once more, for a policy that stands. */
  issued(si: string): IssuedGrant | undefined;
  /** False when there is no such policy (any more). */
  revoke(si: string): boolean;
  lookup(si: string): Grant | undefined;
  /** Every policy that was not revoked, expired ones included, in the order of granting. */
  list(): Grant[];
  /** The policy that a URL's query names, if its signature is right and it is in force; otherwise why not. */
  verify(container: string, query: URLSearchParams): { grant: Grant } | { denied: string };
}

const FILE = 'policies.json';
const CONTAINER = /^md-[a-z0-9-]{1,60}$/;

/** The time in a snapshot's URL: UTC with seven digits. Two snapshots of one container need different ones. */
export function snapshotTime(at: Date): string {
  return `${at.toISOString().slice(0, -1)}0000Z`;
}

/** Opens the policies kept in `folder`. */
export function openAccessPolicies(
  folder: string,
  clock: { now(): Date } = { now: () => new Date() },
): AccessPolicies {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return new FolderPolicies(join(folder, FILE), clock);
}

class FolderPolicies implements AccessPolicies {
  readonly #file: string;
  readonly #clock: { now(): Date };
  readonly #secret: Buffer;
  readonly #grants = new Map<string, Grant>();

  constructor(file: string, clock: { now(): Date }) {
    this.#file = file;
    this.#clock = clock;
    if (existsSync(file)) {
      const kept = policyFile.parse(JSON.parse(readFileSync(file, 'utf8')));
      this.#secret = Buffer.from(kept.secret, 'base64');
      for (const grant of kept.grants) this.#grants.set(grant.si, grant);
    } else {
      this.#secret = randomBytes(32);
      this.#save();
    }
  }

  grant(request: GrantRequest): IssuedGrant {
    if (!CONTAINER.test(request.container))
      throw new RangeError(`"${request.container}" is not a container of managed disks.`);
    const grant: Grant = {
      si: request.snapshotTime ? randomBytes(32).toString('hex') : randomUUID(),
      target: request.target,
      access: request.access,
      container: request.container,
      ...(request.snapshotTime && { snapshotTime: request.snapshotTime }),
      requiresToken: request.requiresToken ?? false,
      grantedAt: this.#clock.now().toISOString(),
      expiresAt: request.expiresAt.toISOString(),
    };
    this.#grants.set(grant.si, grant);
    this.#save();
    return this.#issue(grant);
  }

  issued(si: string): IssuedGrant | undefined {
    const grant = this.#grants.get(si);
    return grant && this.#issue(grant);
  }

  revoke(si: string): boolean {
    const existed = this.#grants.delete(si);
    if (existed) this.#save();
    return existed;
  }

  lookup(si: string): Grant | undefined {
    return this.#grants.get(si);
  }

  list(): Grant[] {
    return [...this.#grants.values()];
  }

  verify(container: string, query: URLSearchParams): { grant: Grant } | { denied: string } {
    const si = query.get('si');
    const given = query.get('sig');
    if (!si || !given) return { denied: 'The URL carries no shared access signature.' };
    const grant = this.#grants.get(si);
    if (!grant) return { denied: `Access policy '${si}' does not exist or was revoked.` };
    const expected = this.#signature({
      ...grant,
      container,
      snapshotTime: query.get('snapshot') ?? undefined,
    });
    const right = timingSafeEqual(sha(expected), sha(given));
    if (!right || !this.#namesGrant(grant, container, query)) return { denied: 'Signature did not match.' };
    if (Date.parse(grant.expiresAt) <= this.#clock.now().getTime())
      return { denied: `Access policy '${si}' expired at ${grant.expiresAt}.` };
    return { grant };

    function sha(text: string): Buffer {
      return createHmac('sha256', 'compare').update(text).digest();
    }
  }

  #namesGrant(grant: Grant, container: string, query: URLSearchParams): boolean {
    const { sv, sr } = resourceOf(grant);
    return (
      grant.container === container &&
      (grant.snapshotTime ?? null) === query.get('snapshot') &&
      sv === query.get('sv') &&
      sr === query.get('sr')
    );
  }

  #issue(grant: Grant): IssuedGrant {
    const { sv, sr } = resourceOf(grant);
    const query = [
      ...(grant.snapshotTime ? [`snapshot=${encodeURIComponent(grant.snapshotTime)}`] : []),
      `sv=${sv}`,
      `sr=${sr}`,
      `si=${grant.si}`,
      `sig=${encodeURIComponent(this.#signature(grant))}`,
    ].join('&');
    return { si: grant.si, query, pathAndQuery: `/${grant.container}/abcd?${query}` };
  }

  #signature(grant: Pick<Grant, 'si' | 'container'> & { snapshotTime?: string | undefined }): string {
    const { sv, sr } = resourceOf(grant);
    const signed = [grant.container, grant.snapshotTime ?? '', sv, sr, grant.si].join('\n');
    return createHmac('sha256', this.#secret).update(signed).digest('base64');
  }

  #save(): void {
    const kept = { format: 1, secret: this.#secret.toString('base64'), grants: this.list() };
    writeFileSync(`${this.#file}.new`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** Recorded: incremental snapshots are `bs` of 2018-11-09, everything else `b` of 2018-03-28. */
function resourceOf(grant: { snapshotTime?: string | undefined }): { sv: string; sr: string } {
  return grant.snapshotTime ? { sv: '2018-11-09', sr: 'bs' } : { sv: '2018-03-28', sr: 'b' };
}
