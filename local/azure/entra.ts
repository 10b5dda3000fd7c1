/** The parts of Entra that a verifier of tokens asks for: discovery and keys. Tokens come from the identity endpoints, not from here. */
import type { Exchange, Reply } from './http.ts';
import type { Tokens } from './tokens.ts';

const PATH =
  /^\/([^/]+)\/(?:(v2\.0)\/)?(?:(\.well-known\/openid-configuration)|(discovery(?:\/v2\.0)?\/keys)|(oauth2\/(?:v2\.0\/)?token))$/i;

export function isEntraPath(path: string): boolean {
  return PATH.test(path);
}

export function entra(tokens: Tokens, base: string, exchange: Exchange): Reply {
  const [, tenant, , wellKnown, keys] = PATH.exec(exchange.url.pathname) ?? [];
  const known = ['common', 'organizations', tokens.tenantId.toLowerCase()];
  if (!known.includes((tenant ?? '').toLowerCase())) {
    return oauthError(
      'invalid_tenant',
      `AADSTS90002: Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID.`,
    );
  }
  if (wellKnown) return { status: 200, body: tokens.discovery(base) };
  if (keys) return { status: 200, body: tokens.keySet() };
  return oauthError(
    'unauthorized_client',
    'AADSTS7000218: The simulator has managed identities only: ask the identity endpoint of the app or the metadata service of the machine.',
  );
}

const oauthError = (error: string, description: string): Reply => ({
  status: 400,
  body: { error, error_description: description },
});
