/** Who asks, and what they may: a bearer token for storage, or a SAS by user delegation; and a role with the data action either way. */
import type { IncomingMessage } from 'node:http';
import { headerOf } from '../disks/blobRequest.ts';
import { wireError } from '../disks/wireErrors.ts';
import type { Roles } from '../roles.ts';
import { TokenError, type Tokens } from '../tokens.ts';
import type { Delegation } from './delegation.ts';
import type { StorageAccount } from './records.ts';

const BLOBS = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs';
export const GENERATE_KEY = 'Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action';

/** What a request does: any one of the data actions will do; the letters are those of a SAS. */
export type Doing = 'read' | 'list' | 'snapshot' | 'write' | 'delete';
const NEEDS: Readonly<Record<Doing, { dataActions: string[]; letters: string }>> = {
  read: { dataActions: [`${BLOBS}/read`], letters: 'r' },
  list: { dataActions: [`${BLOBS}/read`], letters: 'l' },
  snapshot: { dataActions: [`${BLOBS}/add/action`, `${BLOBS}/write`], letters: 'cw' },
  write: { dataActions: [`${BLOBS}/write`], letters: 'w' },
  delete: { dataActions: [`${BLOBS}/delete`], letters: 'd' },
};

export interface RightsParts {
  tokens: Tokens;
  roles: Roles;
  delegation: Delegation;
  now: () => Date;
}

export interface Asked {
  message: IncomingMessage;
  query: URLSearchParams;
  account: StorageAccount;
  container: string;
  blob: string;
}

/** Throws 401 or 403 unless the request may do this. Answers the object id of whoever asks, or signed. */
export async function requireRight(parts: RightsParts, asked: Asked, doing: Doing): Promise<string> {
  const { query, account, container, blob } = asked;
  const { dataActions, letters } = NEEDS[doing];
  let principalId: string;
  if (query.has('sig')) {
    const sas = parts.delegation.verify(query, { account: account.name, container, blob }, parts.now());
    if ('denied' in sas)
      throw wireError('AuthenticationFailed', { elements: { AuthenticationErrorDetail: sas.denied } });
    if (!new RegExp(`[${letters}]`).test(sas.permissions)) throw wireError('AuthorizationPermissionMismatch');
    principalId = sas.principalId;
  } else {
    principalId = await bearer(parts, asked);
  }
  const scope = `${account.id}/blobServices/default/containers/${container}`;
  const request = { snapshot: query.has('snapshot') };
  if (dataActions.some((action) => parts.roles.allowsData(principalId, action, scope, request)))
    return principalId;
  throw wireError('AuthorizationPermissionMismatch');
}

/** The caller's object id, from a token for storage or for this account. */
export async function bearer({ tokens }: RightsParts, { message, account }: Asked): Promise<string> {
  const authorization = headerOf(message, 'authorization');
  const challenge = {
    headers: {
      'WWW-Authenticate': `Bearer authorization_uri=https://login.microsoftonline.com/${tokens.tenantId}/oauth2/authorize resource_id=https://storage.azure.com`,
    },
  };
  if (authorization === undefined) throw wireError('NoAuthenticationInformation', challenge);
  try {
    const audiences = ['https://storage.azure.com', `https://${account.name}.blob.core.windows.net`];
    return (await tokens.verify(authorization, audiences)).objectId;
  } catch (error) {
    if (error instanceof TokenError) throw wireError('InvalidAuthenticationInfo', challenge);
    throw error;
  }
}
