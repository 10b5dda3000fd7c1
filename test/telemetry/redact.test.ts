import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact } from '../../lib/telemetry/redact.ts';

/** Long enough that it cannot turn up in the surrounding text by chance. */
const from = (alphabet: string) =>
  fc.string({ unit: fc.constantFrom(...alphabet.split('')), minLength: 24, maxLength: 60 });
const ALNUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const base64 = from(`${ALNUM}+/`);
const base64url = from(`${ALNUM}-_`);

/** Prose around a secret: it may hold any character but cannot look like part of a value. */
const before = fc.string({ maxLength: 40 }).map((text) => `${text} `);
const after = fc.string({ maxLength: 40 }).map((text) => ` ${text}`);

const FORMS: Record<string, fc.Arbitrary<{ secret: string; text: string }>> = {
  'a SAS signature': base64.map((secret) => ({
    secret,
    text: `https://md-1.z01.blob.storage.azure.net/a/abcd?sv=2018-03-28&sr=b&si=x&sig=${secret}%3D&se=2026`,
  })),
  'a SAS signature first in the query, in capitals': base64.map((secret) => ({
    secret,
    text: `https://x/y?SIG=${secret}`,
  })),
  'a SAS inside an encoded URL': base64url.map((secret) => ({
    secret,
    text: `redirect=https%3A%2F%2Fx%2Fy%3Fsv%3D1%26sig%3D${secret}%26se%3D2`,
  })),
  'a SAS in JSON': base64.map((secret) => ({
    secret,
    text: JSON.stringify({ accessSAS: `https://h/p?sv=1&sig=${secret}&sp=r` }),
  })),
  'a bearer token': base64url.map((secret) => ({ secret, text: `Authorization: Bearer ${secret}` })),
  'a bearer token as JSON': base64url.map((secret) => ({
    secret,
    text: JSON.stringify({ authorization: `bearer ${secret}` }),
  })),
  'a token without its scheme': fc.tuple(base64url, base64url, base64url).map(([head, body, secret]) => ({
    secret,
    text: `token was eyJ${head}.${body}.${secret}`,
  })),
  'an account key': base64.map((secret) => ({
    secret,
    text: `DefaultEndpointsProtocol=https;AccountName=a;AccountKey=${secret}==;EndpointSuffix=core.windows.net`,
  })),
  'an account key by its shape': fc
    .string({ unit: fc.constantFrom(...ALNUM.split('')), minLength: 86, maxLength: 86 })
    .map((secret) => ({ secret, text: `the key "${secret}==" was refused` })),
  'a shared key header': base64.map((secret) => ({
    secret,
    text: `authorization: SharedKey acct:${secret}=`,
  })),
  'a Functions key header': base64url.map((secret) => ({ secret, text: `x-functions-key: ${secret}==` })),
  'a Functions key header as JSON': base64url.map((secret) => ({
    secret,
    text: JSON.stringify({ 'x-functions-key': `${secret}==`, accept: 'x' }),
  })),
  'a Functions key in a URL': base64url.map((secret) => ({
    secret,
    text: `GET https://app.azurewebsites.net/api/backups?code=${secret}==&x=1`,
  })),
  'a password in a URL': fc
    .tuple(from(ALNUM), from(`${ALNUM}%!$*`))
    .map(([user, secret]) => ({ secret, text: `https://${user}:${secret}@proxy.example:8080/` })),
  'a password field as JSON': fc.string({ minLength: 24 }).map((tail) => ({
    secret: `p${tail.replaceAll(/[^a-z]/gi, 'x')}"'; &,w`,
    text: JSON.stringify({ password: `p${tail.replaceAll(/[^a-z]/gi, 'x')}"'; &,w` }),
  })),
  'a client secret in a form': from(`${ALNUM}~._-`).map((secret) => ({
    secret,
    text: `grant_type=client_credentials&client_secret=${secret}&scope=x`,
  })),
};

describe('redact', () => {
  for (const [form, arbitrary] of Object.entries(FORMS)) {
    it(`removes ${form}, whatever surrounds it`, () => {
      fc.assert(
        fc.property(before, arbitrary, after, (prefix, { secret, text }, suffix) => {
          const clean = redact(prefix + text + suffix);
          expect(clean).not.toContain(secret);
          expect(clean).toContain('REDACTED');
        }),
      );
    });
  }

  it('changes nothing more when applied twice', () => {
    const any = fc.oneof(fc.string(), ...Object.values(FORMS).map((form) => form.map(({ text }) => text)));
    fc.assert(
      fc.property(any, (text) => {
        expect(redact(redact(text))).toBe(redact(text));
      }),
    );
  });

  it.each([
    'Snapshot hf-s1-0 of disk web-os was not created: SnapshotRateExceeded. Wait five minutes.',
    '/subscriptions/0a-1/resourceGroups/rg/providers/Microsoft.Compute/disks/d1?api-version=2026-03-02',
    'https://acct.blob.core.windows.net/data/chains/7f/packs/1-0-0-3.pack',
    '{"error":{"code":"BaseMissing","message":"code BaseMissing at 10:42:03"}}',
    'upload failed (status=409, code=BlobAlreadyExists)',
    'assigned design=simple, sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  ])('leaves text without secrets as it is: %s', (text) => {
    expect(redact(text)).toBe(text);
  });

  it('keeps what helps to find the fault', () => {
    expect(redact('GET https://md-1.blob/x?sv=1&sig=abcdefgh%3D&se=2026 answered 403')).toBe(
      'GET https://md-1.blob/x?sv=1&sig=REDACTED&se=2026 answered 403',
    );
  });

  it('stays quick on long text that nearly matches', () => {
    const started = performance.now();
    for (const piece of ['https://a', 'eyJaaaaaa.', 'password', 'Bearer ', 'A'.repeat(85), 'code=', '"\\']) {
      redact(piece.repeat(20_000));
    }
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});
