/**
 * Key Vault: secrets here, keys in keyVaultKeys.ts, at `<server>/keyvault/<vault>`: that is the vault URL to give to SecretClient and KeyClient, with `disableChallengeResourceVerification`
 * (the challenge names vault.azure.net, and a loopback host is none of its subdomains).
 *
 * The SDK takes an identifier apart and accepts `https://host/secrets/name/version` only, so identifiers carry no `/keyvault/<vault>`.
 * They still resolve: a version is unique over all vaults; without a version the root means the first vault.
 */
import { randomBytes } from 'node:crypto';
import type { SimulatorClock } from './clock.ts';
import type { Exchange, Reply } from './http.ts';
import type { KeyRecord } from './keyVaultKey.ts';
import { VaultKeys } from './keyVaultKeys.ts';
import {
  keyOf,
  newest,
  parseSecretBody,
  type SecretRecord,
  type SecretVersion,
  secretNotFound,
  setBody,
  updateBody,
  VaultError,
} from './keyVaultSecret.ts';
import type { Roles } from './roles.ts';
import type { Collection, StateStore } from './state.ts';
import { type Caller, TokenError, type Tokens } from './tokens.ts';

export interface VaultRecord {
  name: string;
  /** ARM id: the scope of its roles. */
  id: string;
}

const ACTIONS = 'Microsoft.KeyVault/vaults';
const RECOVERABLE_DAYS = 90;

interface Call {
  exchange: Exchange;
  vault: VaultRecord;
  caller: Caller;
  /** URL prefix under which the caller asks, for next links. */
  prefix: string;
}

export class KeyVaults {
  private readonly vaults: Collection<VaultRecord>;
  private readonly secrets: Collection<SecretRecord>;
  private readonly keys: VaultKeys<Call>;
  private readonly tokens: Tokens;
  private readonly roles: Roles;
  private readonly clock: SimulatorClock;
  private readonly base: () => string;

  constructor(
    state: StateStore,
    parts: { tokens: Tokens; roles: Roles; clock: SimulatorClock; base: () => string },
  ) {
    this.vaults = state.collection('keyVaults');
    this.secrets = state.collection('secrets');
    this.tokens = parts.tokens;
    this.roles = parts.roles;
    this.clock = parts.clock;
    this.base = parts.base;
    this.keys = new VaultKeys<Call>(state.collection<KeyRecord>('vaultKeys'), {
      require: (call, action, name) => this.requireData(call, 'keys', action, name),
      page: (call, items) => this.page(call, items),
      now: () => this.now(),
      base: this.base,
    });
  }

  add(vault: VaultRecord): VaultRecord {
    return this.vaults.get(vault.name) ?? this.vaults.set(vault.name, vault);
  }

  /** The URL for SecretClient. */
  url(name: string): string {
    return `${this.base()}/keyvault/${name}`;
  }

  owns(path: string): boolean {
    return /^\/(keyvault\/[^/]+\/)?(secrets|deletedsecrets|keys|deletedkeys|certificates)(\/|$)/i.test(path);
  }

  async answer(exchange: Exchange): Promise<Reply> {
    try {
      const call = await this.open(exchange);
      const reply = await this.route(call);
      return { ...reply, headers: { 'x-ms-keyvault-service-version': '1.9.2', ...reply.headers } };
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return { status: error.status, headers: error.headers, body: error.body() };
    }
  }

  private async open(exchange: Exchange): Promise<Call> {
    const caller = await this.authenticate(exchange);
    exchange.noted.principal = caller.objectId;
    if (!exchange.url.searchParams.get('api-version'))
      throw new VaultError(400, 'BadParameter', 'api-version must be specified');
    const [, named] = /^\/keyvault\/([^/]+)\//i.exec(exchange.url.pathname) ?? [];
    const vault = named === undefined ? this.vaultOfRoot(exchange.url.pathname) : this.vaults.get(named);
    if (!vault) throw new VaultError(404, 'VaultNotFound', `No key vault is named '${named ?? ''}'.`);
    return { exchange, vault, caller, prefix: named === undefined ? this.base() : this.url(named) };
  }

  private vaultOfRoot(path: string): VaultRecord | undefined {
    const version = path.split('/')[3];
    const holder =
      version &&
      (this.secrets.values().find((secret) => secret.versions.some((known) => known.version === version))
        ?.vault ??
        this.keys.vaultOf(version));
    return holder ? this.vaults.get(holder) : this.vaults.values()[0];
  }

  private async authenticate(exchange: Exchange): Promise<Caller> {
    const challenge = {
      'WWW-Authenticate': `Bearer authorization="${this.base()}/${this.tokens.tenantId}", resource="https://vault.azure.net"`,
    };
    if (!exchange.headers.authorization)
      throw new VaultError(
        401,
        'Unauthorized',
        'AKV10000: Request is missing a Bearer or PoP token.',
        challenge,
      );
    try {
      return await this.tokens.verify(exchange.headers.authorization, ['https://vault.azure.net']);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      throw new VaultError(401, 'Unauthorized', `AKV10022: Invalid token. ${error.message}`, challenge);
    }
  }

  private async route(call: Call): Promise<Reply> {
    const { method, url } = call.exchange;
    const segments = url.pathname
      .replace(/^\/keyvault\/[^/]+/i, '')
      .split('/')
      .filter(Boolean)
      .map((segment) => decodeURIComponent(segment));
    const [kind = '', name, version] = segments;
    if (/^(deleted)?keys$/i.test(kind)) return this.keys.route(call, segments);
    const route = `${method} ${kind.toLowerCase()}${name === undefined ? '' : '/name'}${version === undefined ? '' : ['versions', 'recover', 'backup'].includes(version) ? `/${version}` : '/version'}`;
    switch (route) {
      case 'PUT secrets/name':
        return this.set(call, name as string);
      case 'GET secrets/name':
      case 'GET secrets/name/version':
        return this.get(call, name as string, version);
      case 'PATCH secrets/name':
      case 'PATCH secrets/name/version':
        return this.update(call, name as string, version);
      case 'GET secrets/name/versions': {
        this.require(call, 'readMetadata', name);
        const secret = this.find(call, name as string);
        return this.page(
          call,
          secret.versions.map((known) => this.metadata(secret, known, true)),
        );
      }
      case 'GET secrets': {
        this.require(call, 'readMetadata');
        const alive = this.secrets.filter(
          (secret) => secret.vault === call.vault.name && secret.deletedAt === undefined,
        );
        return this.page(
          call,
          alive.map((secret) => this.metadata(secret, newest(secret), false)),
        );
      }
      case 'DELETE secrets/name':
        return this.remove(call, name as string);
      case 'GET deletedsecrets': {
        this.require(call, 'readMetadata');
        const gone = this.secrets.filter(
          (secret) => secret.vault === call.vault.name && secret.deletedAt !== undefined,
        );
        return this.page(
          call,
          gone.map((secret) => ({
            ...this.metadata(secret, newest(secret), false),
            ...this.deletion(secret),
          })),
        );
      }
      case 'GET deletedsecrets/name': {
        this.require(call, 'getSecret', name);
        const secret = this.findDeleted(call, name as string);
        return {
          status: 200,
          body: { ...this.metadata(secret, newest(secret), true), ...this.deletion(secret) },
        };
      }
      case 'POST deletedsecrets/name/recover': {
        this.require(call, 'recover', name);
        const secret = this.findDeleted(call, name as string);
        delete secret.deletedAt;
        this.save(secret);
        return { status: 200, body: this.metadata(secret, newest(secret), true) };
      }
      case 'DELETE deletedsecrets/name':
        this.require(call, 'purge', name);
        this.secrets.delete(keyOf(this.findDeleted(call, name as string)));
        return { status: 204 };
      default:
        throw new VaultError(
          404,
          'NotFound',
          `The simulator's key vaults keep secrets and keys only; they do not answer ${method} ${url.pathname}.`,
        );
    }
  }

  private async set(call: Call, name: string): Promise<Reply> {
    this.require(call, 'setSecret', name);
    if (!/^[0-9a-zA-Z-]{1,127}$/.test(name))
      throw new VaultError(
        400,
        'BadParameter',
        `The name '${name}' is invalid: 1 to 127 letters, digits and dashes.`,
      );
    const body = parseSecretBody(setBody, await call.exchange.readJson());
    if (body.value.length > 25_600)
      throw new VaultError(400, 'BadParameter', 'The value of a secret has at most 25600 characters.');
    const known = this.secrets.get(`${call.vault.name}/${name}`);
    if (known?.deletedAt !== undefined) {
      throw new VaultError(
        409,
        'Conflict',
        `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.`,
        {},
        'ObjectIsDeletedButRecoverable',
      );
    }
    const now = this.now();
    const version: SecretVersion = {
      version: randomBytes(16).toString('hex'),
      value: body.value,
      ...(body.contentType === undefined ? {} : { contentType: body.contentType }),
      tags: body.tags ?? {},
      enabled: body.attributes?.enabled ?? true,
      ...(body.attributes?.nbf === undefined ? {} : { nbf: body.attributes.nbf }),
      ...(body.attributes?.exp === undefined ? {} : { exp: body.attributes.exp }),
      created: now,
      updated: now,
    };
    const secret: SecretRecord = known ?? { vault: call.vault.name, name, versions: [] };
    secret.versions.push(version);
    this.save(secret);
    return { status: 200, body: { value: version.value, ...this.metadata(secret, version, true) } };
  }

  private get(call: Call, name: string, version: string | undefined): Reply {
    this.require(call, 'getSecret', name);
    const secret = this.find(call, name);
    const found = this.version(secret, version);
    const now = this.now();
    if (!found.enabled)
      throw new VaultError(
        403,
        'Forbidden',
        'Operation get is not allowed on a disabled secret.',
        {},
        'SecretDisabled',
      );
    if (found.nbf !== undefined && found.nbf > now)
      throw new VaultError(
        403,
        'Forbidden',
        'Operation get is not allowed on a secret that is not yet valid.',
        {},
        'SecretNotYetValid',
      );
    return { status: 200, body: { value: found.value, ...this.metadata(secret, found, true) } };
  }

  private async update(call: Call, name: string, version: string | undefined): Promise<Reply> {
    this.require(call, 'setSecret', name);
    const secret = this.find(call, name);
    const found = this.version(secret, version);
    const {
      contentType,
      tags,
      attributes: changes,
    } = parseSecretBody(updateBody, await call.exchange.readJson());
    if (contentType !== undefined) found.contentType = contentType;
    if (tags) found.tags = tags;
    if (changes?.enabled !== undefined) found.enabled = changes.enabled;
    if (changes?.nbf !== undefined) found.nbf = changes.nbf;
    if (changes?.exp !== undefined) found.exp = changes.exp;
    found.updated = this.now();
    this.save(secret);
    return { status: 200, body: this.metadata(secret, found, true) };
  }

  private remove(call: Call, name: string): Reply {
    this.require(call, 'delete', name);
    const secret = this.find(call, name);
    secret.deletedAt = this.now();
    this.save(secret);
    return {
      status: 200,
      body: { ...this.metadata(secret, newest(secret), true), ...this.deletion(secret) },
    };
  }

  private require(call: Call, action: string, name?: string): void {
    this.requireData(call, 'secrets', `${action}/action`, name);
  }

  private requireData(call: Call, kind: 'secrets' | 'keys', action: string, name?: string): void {
    const full = `${ACTIONS}/${kind}/${action}`;
    const scope = name === undefined ? call.vault.id : `${call.vault.id}/${kind}/${name}`;
    if (this.roles.allowsData(call.caller.objectId, full, scope)) return;
    throw new VaultError(
      403,
      'Forbidden',
      `Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=${call.caller.clientId};oid=${call.caller.objectId};iss=${this.tokens.issuer}\r\nAction: '${full}'\r\nResource: '${scope.toLowerCase()}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\nVault: ${call.vault.name};location=local\r\n`,
      {},
      'ForbiddenByRbac',
    );
  }

  private find(call: Call, name: string): SecretRecord {
    const secret = this.secrets.get(`${call.vault.name}/${name}`);
    if (secret && secret.deletedAt === undefined) return secret;
    throw secretNotFound(name);
  }

  private findDeleted(call: Call, name: string): SecretRecord {
    const secret = this.secrets.get(`${call.vault.name}/${name}`);
    if (secret?.deletedAt !== undefined) return secret;
    throw new VaultError(404, 'SecretNotFound', `Deleted Secret not found: ${name}`);
  }

  private version(secret: SecretRecord, version: string | undefined): SecretVersion {
    const found =
      version === undefined ? newest(secret) : secret.versions.find((known) => known.version === version);
    if (!found) throw secretNotFound(`${secret.name}/${version}`);
    return found;
  }

  private metadata(secret: SecretRecord, version: SecretVersion, withVersion: boolean): object {
    return {
      id: `${this.base()}/secrets/${secret.name}${withVersion ? `/${version.version}` : ''}`,
      ...(version.contentType === undefined ? {} : { contentType: version.contentType }),
      attributes: {
        enabled: version.enabled,
        ...(version.nbf === undefined ? {} : { nbf: version.nbf }),
        ...(version.exp === undefined ? {} : { exp: version.exp }),
        created: version.created,
        updated: version.updated,
        recoveryLevel: 'Recoverable+Purgeable',
        recoverableDays: RECOVERABLE_DAYS,
      },
      tags: version.tags,
    };
  }

  private deletion(secret: SecretRecord): object {
    const deletedDate = secret.deletedAt as number;
    return {
      recoveryId: `${this.base()}/deletedsecrets/${secret.name}`,
      deletedDate,
      scheduledPurgeDate: deletedDate + RECOVERABLE_DAYS * 86_400,
    };
  }

  private page(call: Call, items: object[]): Reply {
    const { pathname, searchParams } = call.exchange.url;
    const size = Math.min(25, Number(searchParams.get('maxresults') ?? 25) || 25);
    const from = Number(searchParams.get('$skiptoken') ?? 0) || 0;
    const next = new URLSearchParams(searchParams);
    next.set('$skiptoken', String(from + size));
    const path = pathname.replace(/^\/keyvault\/[^/]+/i, '');
    const nextLink = from + size < items.length ? `${call.prefix}${path}?${next.toString()}` : null;
    return { status: 200, body: { value: items.slice(from, from + size), nextLink } };
  }

  private save(secret: SecretRecord): void {
    this.secrets.set(keyOf(secret), secret);
  }

  private now(): number {
    return Math.floor(this.clock.now().getTime() / 1000);
  }
}
