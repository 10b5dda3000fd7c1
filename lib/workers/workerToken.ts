import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import type { WorkerRow, Workers } from '../catalog/index.ts';
import { type Clock, HoldfastError } from '../model/index.ts';

export interface TokenSettings {
  /** Accepted `iss` values. An identity's tokens for one tenant come as v1 or v2: `entraIssuers`. */
  readonly issuers: readonly string[];
  /** Where the tenant publishes its signing keys. */
  readonly jwksUrl: string;
  /** Accepted `aud` values: the app's id URI, and its client id. */
  readonly audiences: readonly string[];
}

/** Both issuers of a tenant in a cloud whose authority is `authority` (`https://login.microsoftonline.com`). */
export const entraIssuers = (tenantId: string, authority = 'https://login.microsoftonline.com'): string[] => [
  `https://sts.windows.net/${tenantId}/`,
  `${authority.replace(/\/$/, '')}/${tenantId}/v2.0`,
];

/** Whose token it is: the object id of the identity, and its tenant. */
export interface Caller {
  readonly oid: string;
  readonly tid: string;
}

const claims = z.object({ oid: z.string().min(1), tid: z.string().min(1) });
/** The app's clock may differ from the issuer's by this much. */
const TOLERANCE_SECONDS = 60;

/** Checks bearer tokens: signature, issuer, audience, times. Keys are fetched once and again when an unknown one is named. */
export class TokenCheck {
  readonly #settings: TokenSettings;
  readonly #clock: Clock;
  readonly #keys: JWTVerifyGetKey;

  constructor(settings: TokenSettings, clock: Clock, keys?: JWTVerifyGetKey) {
    this.#settings = settings;
    this.#clock = clock;
    this.#keys = keys ?? createRemoteJWKSet(new URL(settings.jwksUrl), { timeoutDuration: 10_000 });
  }

  /** `authorization`: the header's value. `unauthorized` when there is no token or it is not good; `unavailable` without keys. */
  async verify(authorization: string | null | undefined): Promise<Caller> {
    const [, token] = /^Bearer ([\w.~+/=-]+)$/i.exec(authorization ?? '') ?? [];
    if (!token) throw unauthorized('it carries no bearer token');
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        algorithms: ['RS256'],
        issuer: [...this.#settings.issuers],
        audience: [...this.#settings.audiences],
        clockTolerance: TOLERANCE_SECONDS,
        currentDate: this.#clock.now(),
        requiredClaims: ['exp', 'iat'],
      });
      return claims.parse(payload);
    } catch (error) {
      throw refusal(error);
    }
  }
}

/** The worker of a caller. Any identity of the tenant can get a token for the app; only those of our VMs are workers. */
export async function identify(workers: Workers, caller: Caller): Promise<WorkerRow> {
  const worker = await workers.byPrincipal(caller.oid);
  if (worker) return worker;
  throw new HoldfastError(
    'unauthorized',
    'The identity of the call is not that of a worker of this installation.',
    {
      target: caller.oid,
    },
  );
}

function refusal(error: unknown): HoldfastError {
  if (error instanceof errors.JWTExpired) return unauthorized('its token has expired');
  if (error instanceof errors.JWTClaimValidationFailed)
    return unauthorized(`its token has another "${error.claim}"`);
  if (error instanceof errors.JWKSTimeout || error instanceof TypeError) return noKeys(error);
  // Of jose's errors, only a JWKS answer that is no key set is a plain JOSEError.
  if (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC') return noKeys(error);
  if (error instanceof errors.JOSEError || error instanceof z.ZodError)
    return unauthorized('its token is not valid');
  return noKeys(error);
}

const unauthorized = (why: string): HoldfastError =>
  new HoldfastError('unauthorized', `The call was refused: ${why}.`);

const noKeys = (cause: unknown): HoldfastError =>
  new HoldfastError('unavailable', 'The signing keys of the tenant could not be fetched; try again.', {
    cause,
  });
