/**
 * Blobs of one container with version-level immutability, as Azure Blob Storage keeps them: every write is a version, a
 * version may carry a policy, and a policy that is in force is obeyed for everybody. In memory; driven by the given clock.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { SimulatorClock } from '../clock.ts';

export interface Policy {
  until: Date;
  mode: 'locked' | 'unlocked';
}

export interface BlobVersionRecord {
  readonly name: string;
  readonly version: string;
  readonly bytes: Buffer;
  readonly etag: string;
  readonly lastModified: Date;
  readonly contentMd5: string;
  current: boolean;
  policy: Policy | null;
}

export class BlobError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'BlobError';
    this.status = status;
    this.code = code;
  }
}

export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

const notFound = () => new BlobError(404, 'BlobNotFound', 'The specified blob does not exist.');
const immutable = () =>
  new BlobError(
    409,
    'BlobImmutableDueToPolicy',
    'This operation is not permitted as the blob is immutable due to a policy.',
  );

export class VersionedContainer {
  readonly #clock: SimulatorClock;
  readonly #blobs = new Map<string, BlobVersionRecord[]>();
  #last = { ms: 0, within: 0 };

  constructor(clock: SimulatorClock) {
    this.#clock = clock;
  }

  put(name: string, bytes: Buffer, conditions: Conditions, policy: Policy | null): BlobVersionRecord {
    const current = this.#current(name);
    if (conditions.ifNoneMatch === '*' && current)
      throw new BlobError(409, 'BlobAlreadyExists', 'The specified blob already exists.');
    requireMatch(current, conditions);
    checkPolicy(policy, this.#clock.now());
    if (current) current.current = false;
    const record: BlobVersionRecord = {
      name,
      version: this.#nextVersion(),
      bytes,
      etag: `"0x${randomBytes(8).toString('hex').toUpperCase()}"`,
      lastModified: new Date(Math.floor(this.#clock.now().getTime() / 1000) * 1000),
      contentMd5: createHash('md5').update(bytes).digest('base64'),
      current: true,
      policy,
    };
    this.#blobs.set(name, [...(this.#blobs.get(name) ?? []), record]);
    return record;
  }

  /** Whether the name has a current version. */
  has(name: string): boolean {
    return this.#current(name) !== undefined;
  }

  get(name: string, version?: string): BlobVersionRecord {
    const found =
      version === undefined
        ? this.#current(name)
        : this.#blobs.get(name)?.find((record) => record.version === version);
    if (!found) throw notFound();
    return found;
  }

  /** Without a version the current one stays as an older version; with one, that version ends, if its policy allows it. */
  delete(name: string, version: string | undefined, conditions: Conditions): void {
    const found = this.get(name, version);
    requireMatch(found, conditions);
    if (version === undefined) {
      found.current = false;
      return;
    }
    if (found.current)
      throw new BlobError(
        403,
        'OperationNotAllowedOnRootBlob',
        'The specified operation is not allowed on root blob.',
      );
    if (this.#inForce(found)) throw immutable();
    const left = (this.#blobs.get(name) ?? []).filter((record) => record !== found);
    if (left.length > 0) this.#blobs.set(name, left);
    else this.#blobs.delete(name);
  }

  /** A locked policy in force is only ever extended. */
  setPolicy(name: string, version: string | undefined, policy: Policy): BlobVersionRecord {
    const found = this.get(name, version);
    checkPolicy(policy, this.#clock.now());
    const shorter = found.policy !== null && policy.until < found.policy.until;
    if (found.policy?.mode === 'locked' && this.#inForce(found) && (shorter || policy.mode !== 'locked'))
      throw immutable();
    found.policy = policy;
    return found;
  }

  deletePolicy(name: string, version: string | undefined): void {
    const found = this.get(name, version);
    if (found.policy?.mode === 'locked' && this.#inForce(found)) throw immutable();
    found.policy = null;
  }

  /** By name, then by age. */
  list(prefix: string, versions: boolean): BlobVersionRecord[] {
    const names = [...this.#blobs.keys()].filter((name) => name.startsWith(prefix)).sort(byOrdinal);
    return names.flatMap((name) => this.#blobs.get(name) ?? []).filter(({ current }) => versions || current);
  }

  #current(name: string): BlobVersionRecord | undefined {
    return this.#blobs.get(name)?.find(({ current }) => current);
  }

  #inForce({ policy }: BlobVersionRecord): boolean {
    return policy !== null && policy.until.getTime() > this.#clock.now().getTime();
  }

  /** A time with seven digits, later than any before. */
  #nextVersion(): string {
    const now = this.#clock.now().getTime();
    if (now > this.#last.ms) this.#last = { ms: now, within: 0 };
    else this.#last.within++;
    const { ms, within } = this.#last;
    return `${new Date(ms).toISOString().slice(0, -1)}${String(within).padStart(4, '0')}Z`;
  }
}

const byOrdinal = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function requireMatch(found: BlobVersionRecord | undefined, { ifMatch }: Conditions): void {
  if (ifMatch === undefined) return;
  if (!found || (ifMatch !== '*' && found.etag !== ifMatch))
    throw new BlobError(
      412,
      'ConditionNotMet',
      'The condition specified using HTTP conditional header(s) is not met.',
    );
}

function checkPolicy(policy: Policy | null, now: Date): void {
  if (!policy) return;
  if (Number.isNaN(policy.until.getTime()) || policy.until.getTime() <= now.getTime())
    throw new BlobError(
      400,
      'InvalidHeaderValue',
      'The value for one of the HTTP headers is not in the correct format: x-ms-immutability-policy-until-date.',
    );
}
