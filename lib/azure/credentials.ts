import type { TokenCredential } from '@azure/core-auth';
import { ManagedIdentityCredential } from '@azure/identity';

/**
 * The identity of the Function App: its system-assigned identity, or the user-assigned one with `clientId`. A local run gives the same
 * endpoint (IDENTITY_ENDPOINT, IDENTITY_HEADER) as App Service does, so the same class answers there.
 */
export const appCredential = (clientId?: string): TokenCredential =>
  clientId === undefined ? new ManagedIdentityCredential() : new ManagedIdentityCredential({ clientId });
