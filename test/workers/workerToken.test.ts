import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entraIssuers, TokenCheck } from '../../lib/workers/workerToken.ts';
import { TestClock } from '../catalog/support.ts';

const TENANT = '00000000-0000-0000-0000-00000000feed';
const OID = '00000000-0000-0000-0000-0000000000aa';
const AUDIENCE = 'api://holdfast';

describe('a worker’s token', () => {
  const clock = new TestClock();
  let keys: Awaited<ReturnType<typeof generateKeyPair>>;
  let strangers: typeof keys;
  let fetched = 0;
  let published = '{"keys":[]}';
  const server = createServer((_request, response) => {
    fetched++;
    response.end(published);
  });
  let jwksUrl = '';

  beforeAll(async () => {
    keys = await generateKeyPair('RS256');
    strangers = await generateKeyPair('RS256');
    published = JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'RS256' }] });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const check = (url = jwksUrl) =>
    new TokenCheck({ issuers: entraIssuers(TENANT), jwksUrl: url, audiences: [AUDIENCE] }, clock);

  const token = (
    claims: Record<string, unknown> = {},
    { key = keys.privateKey, minutes = 60 }: { key?: typeof keys.privateKey; minutes?: number } = {},
  ) => {
    const now = Math.floor(clock.now().getTime() / 1000);
    return new SignJWT({
      iss: `https://sts.windows.net/${TENANT}/`,
      aud: AUDIENCE,
      oid: OID,
      tid: TENANT,
      iat: now,
      nbf: now,
      exp: now + minutes * 60,
      ...claims,
    })
      .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
      .sign(key);
  };

  it('that is good says whose it is, in both of Entra’s forms, with one fetch of the keys', async () => {
    const one = check();
    fetched = 0;
    expect(await one.verify(`Bearer ${await token()}`)).toEqual({ oid: OID, tid: TENANT });
    const v2 = await token({ iss: `https://login.microsoftonline.com/${TENANT}/v2.0` });
    expect(await one.verify(`bearer ${v2}`)).toEqual({ oid: OID, tid: TENANT });
    expect(fetched).toBe(1);
  });

  it('that is not good in one thing is refused', async () => {
    const now = Math.floor(clock.now().getTime() / 1000);
    const bad: Record<string, string | null> = {
      none: null,
      empty: '',
      basic: 'Basic abc',
      garbage: 'Bearer garbage',
      signature: `Bearer ${await token({}, { key: strangers.privateKey })}`,
      unsigned: `Bearer ${new UnsecuredJWT({ oid: OID, tid: TENANT, aud: AUDIENCE, iss: `https://sts.windows.net/${TENANT}/`, exp: now + 60, iat: now }).encode()}`,
      issuer: `Bearer ${await token({ iss: 'https://sts.windows.net/other/' })}`,
      audience: `Bearer ${await token({ aud: 'https://management.azure.com' })}`,
      expired: `Bearer ${await token({}, { minutes: -2 })}`,
      early: `Bearer ${await token({ nbf: now + 600 })}`,
      nobody: `Bearer ${await token({ oid: undefined })}`,
      timeless: `Bearer ${await token({ exp: undefined })}`,
    };
    const codes: Record<string, string> = {};
    for (const [name, header] of Object.entries(bad)) {
      codes[name] = await check()
        .verify(header)
        .then(
          () => 'accepted',
          (error: { code: string }) => error.code,
        );
    }
    expect(codes).toEqual(Object.fromEntries(Object.keys(bad).map((name) => [name, 'unauthorized'])));
  });

  it('expires by the app’s clock', async () => {
    const header = `Bearer ${await token()}`;
    const one = check();
    clock.pass(60 * 60_000);
    expect(await one.verify(header)).toEqual({ oid: OID, tid: TENANT });
    clock.pass(61_000);
    await expect(one.verify(header)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('cannot be judged without keys: that is the app’s trouble, not the caller’s', async () => {
    const header = `Bearer ${await token()}`;
    await expect(check('http://127.0.0.1:1/keys').verify(header)).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
  });
});
