import { BlobError } from './versions.ts';

interface Asked {
  readonly method: string;
  /** Whether the name has a blob: a write is then an overwrite. */
  readonly exists: boolean;
  readonly now: Date;
}

/**
 * Whether a SAS in the query lets the request through, by its times and permissions. The signature is not verified. Throws what the
 * service answers: 401 without any authorisation, 403 `AuthenticationFailed` out of its time, 403 for what it does not permit.
 */
export function checkSas(query: URLSearchParams, { method, exists, now }: Asked): void {
  if (!query.get('sig'))
    throw new BlobError(401, 'NoAuthenticationInformation', 'Server failed to authenticate the request.');
  const at = (name: string, otherwise: number) => {
    const time = Date.parse(query.get(name) ?? '');
    return Number.isNaN(time) ? otherwise : time;
  };
  if (now.getTime() < at('st', 0) || now.getTime() > at('se', 0))
    throw new BlobError(403, 'AuthenticationFailed', 'Server failed to authenticate the request.');
  const permissions = query.get('sp') ?? '';
  const may = (letter: string) => permissions.includes(letter);
  if (method === 'PUT' && query.get('comp') === null) {
    if (may('w')) return;
    if (exists && may('c'))
      throw new BlobError(
        403,
        'UnauthorizedBlobOverwrite',
        'This request is not authorized to perform blob overwrites.',
      );
    if (may('c')) return;
  } else if ((method === 'GET' || method === 'HEAD') && query.get('restype') === null && may('r')) return;
  else if (method === 'DELETE' && may('d')) return;
  throw new BlobError(
    403,
    'AuthorizationPermissionMismatch',
    'This request is not authorized to perform this operation using this permission.',
  );
}
