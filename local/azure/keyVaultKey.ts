/** A key of Key Vault with its versions, what requests about it may say, and what it does: wrap and unwrap with real RSA. */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type JsonWebKey,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto';
import { promisify } from 'node:util';
import * as z from 'zod';
import { VaultError } from './keyVaultSecret.ts';

export interface KeyVersion {
  version: string;
  /** The whole pair; only `n` and `e` leave the vault. */
  jwk: JsonWebKey;
  operations: string[];
  tags: Record<string, string>;
  enabled: boolean;
  /** Epoch seconds. */
  nbf?: number;
  exp?: number;
  created: number;
  updated: number;
}

export interface KeyRecord {
  vault: string;
  name: string;
  versions: KeyVersion[];
  /** Epoch seconds; set while it can be recovered. */
  deletedAt?: number;
}

const OPERATIONS = ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey'];
const attributes = z.looseObject({
  enabled: z.boolean().optional(),
  nbf: z.number().optional(),
  exp: z.number().optional(),
});
export const createKeyBody = z.looseObject({
  kty: z.string(),
  key_size: z.union([z.literal(2048), z.literal(3072), z.literal(4096)]).optional(),
  key_ops: z.array(z.string()).optional(),
  tags: z.record(z.string(), z.string()).optional(),
  attributes: attributes.optional(),
});
export const updateKeyBody = createKeyBody.omit({ kty: true, key_size: true }).partial();
export const operationBody = z.looseObject({ alg: z.string(), value: z.string() });

export const ownerKeyOf = (key: Pick<KeyRecord, 'vault' | 'name'>) => `${key.vault}/${key.name}`;
export const newestKey = (key: KeyRecord) => key.versions.at(-1) as KeyVersion;

export const keyNotFound = (name: string) =>
  new VaultError(
    404,
    'KeyNotFound',
    `A key with (name/id) ${name} was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182`,
  );

const generate = promisify(generateKeyPair);

/** A new version of an RSA key. Other types of keys are refused by name. */
export async function newVersion(
  body: z.output<typeof createKeyBody>,
  version: string,
  now: number,
): Promise<KeyVersion> {
  if (body.kty !== 'RSA')
    throw new VaultError(400, 'BadParameter', `The simulator makes RSA keys only, not "${body.kty}".`);
  const { privateKey } = await generate('rsa', { modulusLength: body.key_size ?? 2048 });
  return {
    version,
    jwk: privateKey.export({ format: 'jwk' }),
    operations: body.key_ops ?? OPERATIONS,
    tags: body.tags ?? {},
    enabled: body.attributes?.enabled ?? true,
    ...(body.attributes?.nbf === undefined ? {} : { nbf: body.attributes.nbf }),
    ...(body.attributes?.exp === undefined ? {} : { exp: body.attributes.exp }),
    created: now,
    updated: now,
  };
}

const HASHES: Readonly<Record<string, string>> = { 'RSA-OAEP': 'sha1', 'RSA-OAEP-256': 'sha256' };

/** Refuses as the vault does: disabled, out of its dates (unwrapping with an expired key is allowed), not for this operation. */
export function carryOut(
  key: KeyVersion,
  operation: 'wrapKey' | 'unwrapKey',
  { alg, value }: z.output<typeof operationBody>,
  now: number,
): string {
  const forbid = (state: string, inner: string) =>
    new VaultError(403, 'Forbidden', `Operation ${operation} is not allowed on ${state} key.`, {}, inner);
  if (!key.enabled) throw forbid('a disabled', 'KeyDisabled');
  if (key.nbf !== undefined && key.nbf > now) throw forbid('a not yet valid', 'KeyNotYetValid');
  if (operation === 'wrapKey' && key.exp !== undefined && key.exp <= now)
    throw forbid('an expired', 'KeyExpired');
  if (!key.operations.includes(operation))
    throw new VaultError(
      403,
      'Forbidden',
      `Operation ${operation} is not permitted on this key.`,
      {},
      'KeyOperationForbidden',
    );
  const oaepHash = HASHES[alg];
  if (oaepHash === undefined)
    throw new VaultError(400, 'BadParameter', `Property alg has an invalid value: ${alg}.`);
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash };
  const bytes = Buffer.from(value, 'base64url');
  try {
    const done =
      operation === 'wrapKey'
        ? publicEncrypt({ key: createPublicKey({ key: key.jwk, format: 'jwk' }), ...padding }, bytes)
        : privateDecrypt({ key: createPrivateKey({ key: key.jwk, format: 'jwk' }), ...padding }, bytes);
    return done.toString('base64url');
  } catch {
    throw new VaultError(400, 'BadParameter', 'The parameter is incorrect.');
  }
}
