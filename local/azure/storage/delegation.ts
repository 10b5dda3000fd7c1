/**
 * User-delegation keys and the SAS that are signed with them. Nothing is stored but one secret: a key is derived from whom, when and for
 * which account it was given, so that every SAS can be verified by deriving it once more. Fields and their order: "Create a user
 * delegation SAS", versions 2020-12-06 to 2025-05-05.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { StateStore } from '../state.ts';

const MAX_KEY_MS = 7 * 24 * 3600_000;
const FIRST_VERSION = '2020-12-06';
/** From here on more fields are signed. */
const NEXT_FORM = '2025-07-05';

export interface DelegationKey {
  oid: string;
  tid: string;
  start: string;
  expiry: string;
  service: string;
  version: string;
}

export interface VerifiedSas {
  /** Object id of whoever signed: the SAS may do what both it and this principal may. */
  principalId: string;
  /** Letters. */
  permissions: string;
}

export class Delegation {
  readonly #secret: string;

  constructor(state: StateStore) {
    const secrets = state.collection<{ value: string }>('delegationSecret');
    this.#secret = (
      secrets.get('current') ?? secrets.set('current', { value: randomBytes(32).toString('hex') })
    ).value;
  }

  /** Base64. Throws a text for a person when the times are not allowed. */
  keyFor(account: string, key: DelegationKey): string {
    const from = Date.parse(key.start);
    const to = Date.parse(key.expiry);
    if (!(to > from) || to - from > MAX_KEY_MS)
      throw new Error('A user delegation key lasts at most seven days.');
    return this.#derive(account, key);
  }

  /** What the SAS in the query allows on the blob; a text that says why it allows nothing. */
  verify(
    query: URLSearchParams,
    { account, container, blob }: { account: string; container: string; blob: string },
    now: Date,
  ): VerifiedSas | { denied: string } {
    const of = (name: string) => query.get(name) ?? '';
    const version = of('sv');
    if (version < FIRST_VERSION || version >= NEXT_FORM)
      return { denied: `The simulator verifies SAS of versions ${FIRST_VERSION} to before ${NEXT_FORM}.` };
    const resource = of('sr');
    if (!['b', 'bs', 'c'].includes(resource)) return { denied: `sr=${resource} is not supported.` };
    const snapshot = query.get('snapshot');
    if (resource === 'bs' && snapshot === null)
      return { denied: 'A SAS of a snapshot does not open the blob.' };
    const key = this.#derive(account, {
      oid: of('skoid'),
      tid: of('sktid'),
      start: of('skt'),
      expiry: of('ske'),
      service: of('sks'),
      version: of('skv'),
    });
    const canonical = `/blob/${account}/${container}${resource === 'c' ? '' : `/${blob}`}`;
    const text = [
      of('sp'),
      of('st'),
      of('se'),
      canonical,
      of('skoid'),
      of('sktid'),
      of('skt'),
      of('ske'),
      of('sks'),
      of('skv'),
      of('saoid'),
      of('suoid'),
      of('scid'),
      of('sip'),
      of('spr'),
      version,
      resource,
      resource === 'bs' ? snapshot : '',
      of('ses'),
      of('rscc'),
      of('rscd'),
      of('rsce'),
      of('rscl'),
      of('rsct'),
    ].join('\n');
    const expected = createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest();
    const given = Buffer.from(of('sig'), 'base64');
    if (given.length !== expected.length || !timingSafeEqual(given, expected))
      return { denied: 'Signature did not match.' };
    const time = now.getTime();
    if (of('st') !== '' && Date.parse(of('st')) > time) return { denied: 'The SAS is not valid yet.' };
    if (!(Date.parse(of('se')) > time) || !(Date.parse(of('ske')) > time))
      return { denied: 'The SAS has expired.' };
    return { principalId: of('skoid'), permissions: of('sp') };
  }

  #derive(account: string, { oid, tid, start, expiry, service, version }: DelegationKey): string {
    const text = [account, oid, tid, start, expiry, service, version].join('\n');
    return createHmac('sha256', this.#secret).update(text).digest('base64');
  }
}
