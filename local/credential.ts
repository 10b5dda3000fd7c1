import type { TokenCredential } from '@azure/core-auth';
import { z } from 'zod';
import { HoldfastError } from '../lib/model/index.ts';

const tokenSchema = z.object({ access_token: z.string(), expires_on: z.coerce.number() });

/**
 * The tokens of whoever has this header at the simulator's identity endpoint: what a deployment's own sign-in is on Azure.
 * The app has another one, with fewer rights.
 */
export function identityCredential(endpoint: string, header: string): TokenCredential {
  return {
    async getToken(scopes) {
      const url = new URL(endpoint);
      url.searchParams.set('api-version', '2019-08-01');
      url.searchParams.set('resource', ([scopes].flat()[0] ?? '').replace(/\/\.default$/, ''));
      const response = await fetch(url, {
        headers: { 'x-identity-header': header },
        signal: AbortSignal.timeout(10_000),
      });
      const parsed = tokenSchema.safeParse(await response.json().catch(() => undefined));
      if (!response.ok || !parsed.success) {
        throw new HoldfastError('unauthorized', `The local identity endpoint answered ${response.status}.`);
      }
      return { token: parsed.data.access_token, expiresOnTimestamp: parsed.data.expires_on * 1000 };
    },
  };
}
