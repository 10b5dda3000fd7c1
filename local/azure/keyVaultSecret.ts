/** A secret of Key Vault with its versions, what requests about it may say, and the errors. */
import * as z from 'zod';

export interface SecretVersion {
  version: string;
  value: string;
  contentType?: string;
  tags: Record<string, string>;
  enabled: boolean;
  /** Epoch seconds. */
  nbf?: number;
  exp?: number;
  created: number;
  updated: number;
}

export interface SecretRecord {
  vault: string;
  name: string;
  versions: SecretVersion[];
  /** Epoch seconds; set while it can be recovered. */
  deletedAt?: number;
}

const attributes = z.looseObject({
  enabled: z.boolean().optional(),
  nbf: z.number().optional(),
  exp: z.number().optional(),
});
export const setBody = z.looseObject({
  value: z.string(),
  contentType: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
  attributes: attributes.optional(),
});
export const updateBody = setBody.partial();

export const keyOf = (secret: SecretRecord) => `${secret.vault}/${secret.name}`;
export const newest = (secret: SecretRecord) => secret.versions.at(-1) as SecretVersion;

export class VaultError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;
  private readonly inner: string | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    headers: Record<string, string> = {},
    inner?: string,
  ) {
    super(message);
    this.name = 'VaultError';
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.inner = inner;
  }

  body(): object {
    const { code, message, inner } = this;
    return { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } };
  }
}

export const secretNotFound = (name: string) =>
  new VaultError(
    404,
    'SecretNotFound',
    `A secret with (name/id) ${name} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182`,
  );

export function parseSecretBody<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new VaultError(
    400,
    'BadParameter',
    `Property ${issue?.path.join('.') ?? ''} is invalid: ${issue?.message ?? 'malformed'}.`,
  );
}
