/**
 * Entra in one file: principals, the key that signs tokens (kept in the state, so that tokens outlive a restart), issue and verification.
 *
 * Tokens live in the system's time, not in the simulator's: the SDKs' caches and Azurite compare them with theirs.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import type { Collection, StateStore } from './state.ts';

export interface Principal {
  /** The `oid` of its tokens and the principal of its role assignments. */
  objectId: string;
  clientId: string;
  name: string;
  kind: 'app' | 'user' | 'virtualMachine' | 'userAssigned';
  /** ARM id of what carries the identity (`xms_mirid`). */
  resourceId?: string;
  /** App roles by audience, for the `roles` claim. */
  appRoles?: Record<string, string[]>;
}

export interface Caller {
  objectId: string;
  clientId: string;
}

export interface IssuedToken {
  token: string;
  /** Epoch seconds. */
  notBefore: number;
  expiresOn: number;
  resource: string;
}

interface StoredKey {
  privateJwk: JWK;
}

const LIFETIME_SECONDS = 24 * 3600;
/** What Entra of every tenant knows. `api://…` and audiences registered by `addAudience` are known too. */
const KNOWN_RESOURCES = [
  /^https:\/\/management\.(core\.windows\.net|azure\.com)\/?$/,
  /^https:\/\/storage\.azure\.com\/?$/,
  /^https:\/\/[a-z0-9]{3,24}\.(blob|table|queue)\.core\.windows\.net\/?$/,
  /^https:\/\/vault\.azure\.net\/?$/,
  /^https:\/\/disk\.compute\.azure\.com\/?$/,
  /^https:\/\/monitor\.azure\.com\/?\/?$/,
  /^https:\/\/graph\.microsoft\.com\/?$/,
  /^api:\/\/.+$/,
];

export class TokenError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'TokenError';
    this.code = code;
  }
}

export class Tokens {
  readonly tenantId: string;
  readonly issuer: string;
  readonly principals: Collection<Principal>;
  private readonly audiences: Collection<{ audience: string }>;
  private readonly signingKey: CryptoKey;
  private readonly verifyingKey: CryptoKey;
  private readonly publicJwk: JWK;

  private constructor(
    state: StateStore,
    tenantId: string,
    keys: { signing: CryptoKey; verifying: CryptoKey },
    publicJwk: JWK,
  ) {
    this.tenantId = tenantId;
    this.issuer = `https://sts.windows.net/${tenantId}/`;
    this.principals = state.collection<Principal>('principals');
    this.audiences = state.collection('audiences');
    this.signingKey = keys.signing;
    this.verifyingKey = keys.verifying;
    this.publicJwk = publicJwk;
  }

  static async open(state: StateStore): Promise<Tokens> {
    const tenants = state.collection<{ tenantId: string }>('tenant');
    const tenantId = (tenants.get('home') ?? tenants.set('home', { tenantId: randomUUID() })).tenantId;
    const keys = state.collection<StoredKey>('signingKey');
    let stored = keys.get('current');
    if (!stored) {
      const pair = await generateKeyPair('RS256', { extractable: true });
      stored = keys.set('current', { privateJwk: await exportJWK(pair.privateKey) });
    }
    const { kty, n, e } = stored.privateJwk as { kty: string; n: string; e: string };
    const publicJwk: JWK = { kty, n, e, use: 'sig', alg: 'RS256' };
    publicJwk.kid = await calculateJwkThumbprint({ kty, n, e });
    const signing = (await importJWK(stored.privateJwk, 'RS256')) as CryptoKey;
    const verifying = (await importJWK(publicJwk, 'RS256')) as CryptoKey;
    return new Tokens(state, tenantId, { signing, verifying }, publicJwk);
  }

  /** Adds a principal, or returns the one with this object id unchanged. */
  addPrincipal(
    principal: Omit<Principal, 'objectId' | 'clientId'> & { objectId?: string; clientId?: string },
  ): Principal {
    const objectId = principal.objectId ?? randomUUID();
    const known = this.principals.get(objectId);
    if (known) return known;
    return this.principals.set(objectId, {
      ...principal,
      objectId,
      clientId: principal.clientId ?? randomUUID(),
    });
  }

  /** Lets tokens be issued for a resource of the tenant's own (an application id URI). */
  addAudience(audience: string): void {
    this.audiences.set(audience, { audience });
  }

  /** A token of `principal` for `resource`; the audience is the resource as asked for. Throws TokenError for an unknown resource. */
  async issue(objectId: string, resource: string, lifetimeSeconds = LIFETIME_SECONDS): Promise<IssuedToken> {
    const principal = this.principals.get(objectId);
    if (!principal)
      throw new TokenError(
        'invalid_client',
        `AADSTS700016: No principal ${objectId} exists in the directory.`,
      );
    if (!KNOWN_RESOURCES.some((known) => known.test(resource)) && !this.audiences.has(resource)) {
      throw new TokenError(
        'invalid_resource',
        `AADSTS500011: The resource principal named ${resource} was not found in the tenant named ${this.tenantId}.`,
      );
    }
    const now = Math.floor(Date.now() / 1000);
    const notBefore = now - 300;
    const expiresOn = now + lifetimeSeconds;
    const roles = principal.appRoles?.[resource];
    const token = await new SignJWT({
      appid: principal.clientId,
      appidacr: '2',
      idtyp: principal.kind === 'user' ? 'user' : 'app',
      oid: principal.objectId,
      tid: this.tenantId,
      ver: '1.0',
      ...(principal.resourceId === undefined ? {} : { xms_mirid: principal.resourceId }),
      ...(roles === undefined ? {} : { roles }),
    })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: this.publicJwk.kid as string })
      .setIssuer(this.issuer)
      .setSubject(principal.objectId)
      .setAudience(resource)
      .setIssuedAt(notBefore)
      .setNotBefore(notBefore)
      .setExpirationTime(expiresOn)
      .setJti(createHash('sha256').update(randomUUID()).digest('base64url').slice(0, 22))
      .sign(this.signingKey);
    return { token, notBefore, expiresOn, resource };
  }

  /** Checks signature, issuer, times and audience (trailing slashes are equal). Throws TokenError with Entra's code. */
  async verify(authorization: string | undefined, audiences: readonly string[]): Promise<Caller> {
    const match = /^Bearer (.+)$/i.exec(authorization ?? '');
    if (!match)
      throw new TokenError(
        'AuthenticationFailed',
        "Authentication failed. The 'Authorization' header is missing.",
      );
    const accepted = audiences.flatMap((audience) => [
      audience.replace(/\/+$/, ''),
      `${audience.replace(/\/+$/, '')}/`,
    ]);
    try {
      const { payload } = await jwtVerify(match[1] as string, this.verifyingKey, {
        issuer: this.issuer,
        audience: accepted,
      });
      return { objectId: String(payload.oid), clientId: String(payload.appid) };
    } catch (cause) {
      const reason =
        cause instanceof Error ? (cause as Error & { code?: string; claim?: string }) : undefined;
      if (reason?.code === 'ERR_JWT_EXPIRED')
        throw new TokenError('ExpiredAuthenticationToken', 'The access token has expired.');
      if (reason?.claim === 'aud') {
        throw new TokenError(
          'InvalidAuthenticationTokenAudience',
          `The access token has been obtained for the wrong audience or resource. It should exactly match with one of the allowed audiences '${accepted.join("','")}'.`,
        );
      }
      if (reason?.claim === 'iss') {
        throw new TokenError(
          'InvalidAuthenticationTokenTenant',
          `The access token is from the wrong issuer. It must match the tenant '${this.issuer}' associated with this subscription.`,
        );
      }
      throw new TokenError('InvalidAuthenticationToken', 'The access token is invalid.');
    }
  }

  keySet(): { keys: JWK[] } {
    return { keys: [this.publicJwk] };
  }

  /** The discovery document; `base` is the URL of the server. */
  discovery(base: string): object {
    const tenant = `${base}/${this.tenantId}`;
    return {
      issuer: this.issuer,
      authorization_endpoint: `${tenant}/oauth2/v2.0/authorize`,
      token_endpoint: `${tenant}/oauth2/v2.0/token`,
      jwks_uri: `${tenant}/discovery/v2.0/keys`,
      response_types_supported: ['code', 'id_token', 'token'],
      response_modes_supported: ['query', 'fragment', 'form_post'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256'],
      token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt'],
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      claims_supported: ['sub', 'iss', 'aud', 'exp', 'iat', 'nbf', 'oid', 'tid', 'appid', 'roles', 'ver'],
    };
  }
}
