/**
 * Key Vault keys, beside the secrets: create, rotate, get, list, update (disable), delete, recover, purge, wrap, unwrap.
 * RSA only; no import, backup, release, encryption or signatures. Addressed like secrets, see keyVault.ts.
 */
import { randomBytes } from 'node:crypto';
import type { Exchange, Reply } from './http.ts';
import {
  carryOut,
  createKeyBody,
  type KeyRecord,
  type KeyVersion,
  keyNotFound,
  newestKey,
  newVersion,
  operationBody,
  ownerKeyOf,
  updateKeyBody,
} from './keyVaultKey.ts';
import { parseSecretBody, VaultError } from './keyVaultSecret.ts';
import type { Collection } from './state.ts';

const RECOVERABLE_DAYS = 90;

/** What the vault does for its keys. */
export interface VaultDesk<Call> {
  /** Throws 403 unless the caller's roles allow the data action (below `keys/`). */
  require(call: Call, action: string, name?: string): void;
  page(call: Call, items: object[]): Reply;
  now(): number;
  base(): string;
}

interface KeyCall {
  exchange: Exchange;
  vault: { name: string };
}

export class VaultKeys<Call extends KeyCall> {
  private readonly keys: Collection<KeyRecord>;
  private readonly desk: VaultDesk<Call>;

  constructor(keys: Collection<KeyRecord>, desk: VaultDesk<Call>) {
    this.keys = keys;
    this.desk = desk;
  }

  /** Name of the vault that holds a version; versions are unique over all vaults. */
  vaultOf(version: string): string | undefined {
    return this.keys.values().find((key) => key.versions.some((known) => known.version === version))?.vault;
  }

  async route(call: Call, [kind = '', name = '', ...rest]: string[]): Promise<Reply> {
    const { method } = call.exchange;
    const [first, second] = rest;
    // Operations on the newest version leave the version out: /keys/name//wrapkey, whose slashes are one.
    const operation = [first, second].find((part) => /^(un)?wrapkey$/i.test(part ?? ''));
    if (method === 'POST' && operation)
      return this.operate(call, name, first === operation ? undefined : first, operation.toLowerCase());
    switch (
      `${method} ${kind.toLowerCase()}/${name === '' ? '' : 'name'}/${WORDS.has(first ?? '') ? first : first && 'version'}`
    ) {
      case 'POST keys/name/create':
        return this.create(call, name);
      case 'POST keys/name/rotate':
        return this.rotate(call, name);
      case 'GET keys/name/undefined':
      case 'GET keys/name/version': {
        this.desk.require(call, 'read', name);
        const key = this.find(call, name);
        return { status: 200, body: this.bundle(key, this.version(key, first)) };
      }
      case 'PATCH keys/name/undefined':
      case 'PATCH keys/name/version':
        return this.update(call, name, first);
      case 'GET keys/name/versions': {
        this.desk.require(call, 'read', name);
        const key = this.find(call, name);
        return this.desk.page(
          call,
          key.versions.map((version) => this.item(key, version, true)),
        );
      }
      case 'GET keys//undefined':
      case 'GET deletedkeys//undefined': {
        this.desk.require(call, 'read');
        const gone = kind.toLowerCase() === 'deletedkeys';
        const found = this.keys.filter(
          (key) => key.vault === call.vault.name && (key.deletedAt !== undefined) === gone,
        );
        return this.desk.page(
          call,
          found.map((key) => ({
            ...this.item(key, newestKey(key), false),
            ...(gone ? this.deletion(key) : {}),
          })),
        );
      }
      case 'DELETE keys/name/undefined': {
        this.desk.require(call, 'delete', name);
        const key = this.find(call, name);
        key.deletedAt = this.desk.now();
        this.save(key);
        return { status: 200, body: { ...this.bundle(key, newestKey(key)), ...this.deletion(key) } };
      }
      case 'GET deletedkeys/name/undefined': {
        this.desk.require(call, 'read', name);
        const key = this.findDeleted(call, name);
        return { status: 200, body: { ...this.bundle(key, newestKey(key)), ...this.deletion(key) } };
      }
      case 'POST deletedkeys/name/recover': {
        this.desk.require(call, 'recover/action', name);
        const key = this.findDeleted(call, name);
        delete key.deletedAt;
        this.save(key);
        return { status: 200, body: this.bundle(key, newestKey(key)) };
      }
      case 'DELETE deletedkeys/name/undefined':
        this.desk.require(call, 'purge/action', name);
        this.keys.delete(ownerKeyOf(this.findDeleted(call, name)));
        return { status: 204 };
      default:
        throw new VaultError(
          404,
          'NotFound',
          `The simulator's key vaults do not answer ${method} ${call.exchange.url.pathname}.`,
        );
    }
  }

  private async create(call: Call, name: string): Promise<Reply> {
    this.desk.require(call, 'create/action', name);
    if (!/^[0-9a-zA-Z-]{1,127}$/.test(name))
      throw new VaultError(
        400,
        'BadParameter',
        `The name '${name}' is invalid: 1 to 127 letters, digits and dashes.`,
      );
    const body = parseSecretBody(createKeyBody, await call.exchange.readJson());
    const known = this.keys.get(`${call.vault.name}/${name}`);
    if (known?.deletedAt !== undefined)
      throw new VaultError(
        409,
        'Conflict',
        `Key ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged.`,
        {},
        'ObjectIsDeletedButRecoverable',
      );
    const key: KeyRecord = known ?? { vault: call.vault.name, name, versions: [] };
    const made = await newVersion(body, randomBytes(16).toString('hex'), this.desk.now());
    key.versions.push(made);
    this.save(key);
    return { status: 200, body: this.bundle(key, made) };
  }

  private async rotate(call: Call, name: string): Promise<Reply> {
    this.desk.require(call, 'rotate/action', name);
    const key = this.find(call, name);
    const { operations, tags, jwk } = newestKey(key);
    const bits = Buffer.from(jwk.n ?? '', 'base64url').length * 8;
    const order = createKeyBody.parse({ kty: 'RSA', key_size: bits, key_ops: operations, tags });
    const made = await newVersion(order, randomBytes(16).toString('hex'), this.desk.now());
    key.versions.push(made);
    this.save(key);
    return { status: 200, body: this.bundle(key, made) };
  }

  private async update(call: Call, name: string, version: string | undefined): Promise<Reply> {
    this.desk.require(call, 'update/action', name);
    const key = this.find(call, name);
    const found = this.version(key, version);
    const { key_ops, tags, attributes } = parseSecretBody(updateKeyBody, await call.exchange.readJson());
    if (key_ops) found.operations = key_ops;
    if (tags) found.tags = tags;
    if (attributes?.enabled !== undefined) found.enabled = attributes.enabled;
    if (attributes?.nbf !== undefined) found.nbf = attributes.nbf;
    if (attributes?.exp !== undefined) found.exp = attributes.exp;
    found.updated = this.desk.now();
    this.save(key);
    return { status: 200, body: this.bundle(key, found) };
  }

  private async operate(call: Call, name: string, version: string | undefined, verb: string): Promise<Reply> {
    const operation = verb === 'wrapkey' ? 'wrapKey' : 'unwrapKey';
    this.desk.require(call, operation === 'wrapKey' ? 'wrap/action' : 'unwrap/action', name);
    const key = this.find(call, name);
    const found = this.version(key, version);
    const body = parseSecretBody(operationBody, await call.exchange.readJson());
    const value = carryOut(found, operation, body, this.desk.now());
    return { status: 200, body: { kid: this.kid(key, found), value } };
  }

  private find(call: Call, name: string): KeyRecord {
    const key = this.keys.get(`${call.vault.name}/${name}`);
    if (key && key.deletedAt === undefined) return key;
    throw keyNotFound(name);
  }

  private findDeleted(call: Call, name: string): KeyRecord {
    const key = this.keys.get(`${call.vault.name}/${name}`);
    if (key?.deletedAt !== undefined) return key;
    throw new VaultError(404, 'KeyNotFound', `Deleted Key not found: ${name}`);
  }

  private version(key: KeyRecord, version: string | undefined): KeyVersion {
    const found =
      version === undefined ? newestKey(key) : key.versions.find((known) => known.version === version);
    if (!found) throw keyNotFound(`${key.name}/${version}`);
    return found;
  }

  private kid(key: KeyRecord, { version }: KeyVersion): string {
    return `${this.desk.base()}/keys/${key.name}/${version}`;
  }

  private bundle(key: KeyRecord, version: KeyVersion): object {
    const { n, e } = version.jwk;
    return {
      key: { kid: this.kid(key, version), kty: 'RSA', key_ops: version.operations, n, e },
      attributes: this.attributes(version),
      tags: version.tags,
    };
  }

  private item(key: KeyRecord, version: KeyVersion, withVersion: boolean): object {
    const kid = withVersion ? this.kid(key, version) : `${this.desk.base()}/keys/${key.name}`;
    return { kid, attributes: this.attributes(version), tags: version.tags };
  }

  private attributes({ enabled, nbf, exp, created, updated }: KeyVersion): object {
    return {
      enabled,
      ...(nbf === undefined ? {} : { nbf }),
      ...(exp === undefined ? {} : { exp }),
      created,
      updated,
      recoveryLevel: 'Recoverable+Purgeable',
      recoverableDays: RECOVERABLE_DAYS,
      exportable: false,
    };
  }

  private deletion(key: KeyRecord): object {
    const deletedDate = key.deletedAt as number;
    return {
      recoveryId: `${this.desk.base()}/deletedkeys/${key.name}`,
      deletedDate,
      scheduledPurgeDate: deletedDate + RECOVERABLE_DAYS * 86_400,
    };
  }

  private save(key: KeyRecord): void {
    this.keys.set(ownerKeyOf(key), key);
  }
}

const WORDS = new Set(['create', 'rotate', 'versions', 'recover']);
