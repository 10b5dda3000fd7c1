/**
 * TLS for a local run: one certificate authority and one server certificate for the loopback names, made at first start and kept.
 *
 * Every server of a local run uses the same certificate; every client trusts the authority (NODE_EXTRA_CA_CERTS, curl --cacert). The
 * authority's key stays in the folder so that a renewed certificate is still trusted by what already runs.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** The authority's certificate, the server's certificate and its key: as PEM text and as files. */
export interface LoopbackTls {
  caPem: string;
  certPem: string;
  keyPem: string;
  caFile: string;
  certFile: string;
  keyFile: string;
}

interface Pair {
  cert: string;
  key: string;
}

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
const SERVER_DAYS = 365;
/** What has fewer days left than this is made anew at start, so that no run outlives its certificate. */
const RENEW_DAYS = 30;

/**
 * Returns the loopback certificate of the folder `dir`, generating or renewing what is missing, unreadable, mismatched or within 30
 * days of its end. Private keys are readable by their owner only. Not meant to be called by two processes at once for one folder.
 */
export async function ensureTls(dir: string, now: Date = new Date()): Promise<LoopbackTls> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const files = {
    caFile: join(dir, 'ca.pem'),
    caKeyFile: join(dir, 'ca.key.pem'),
    certFile: join(dir, 'cert.pem'),
    keyFile: join(dir, 'key.pem'),
  };
  let authority = readPair(files.caFile, files.caKeyFile);
  // An authority must outlive what it signs.
  if (!authority || daysLeft(authority.cert, now) < SERVER_DAYS + RENEW_DAYS) {
    authority = await newAuthority(now);
    writePair(files.caFile, files.caKeyFile, authority);
  }
  let server = readPair(files.certFile, files.keyFile);
  if (!server || daysLeft(server.cert, now) < RENEW_DAYS || !isSignedBy(server.cert, authority.cert)) {
    server = await newServer(authority, now);
    writePair(files.certFile, files.keyFile, server);
  }
  const { caFile, certFile, keyFile } = files;
  return { caPem: authority.cert, certPem: server.cert, keyPem: server.key, caFile, certFile, keyFile };
}

async function newAuthority(now: Date): Promise<Pair> {
  const made = await generate(
    [{ name: 'commonName', value: `Holdfast local authority ${now.toISOString()}` }],
    {
      keyType: 'ec',
      algorithm: 'sha256',
      ...validity(now, AUTHORITY_DAYS),
      extensions: [
        { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    },
  );
  return { cert: made.cert, key: made.private };
}

async function newServer(authority: Pair, now: Date): Promise<Pair> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca: authority,
    ...validity(now, SERVER_DAYS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  });
  return { cert: made.cert, key: made.private };
}

/** Starts a day early: a container's clock may be behind. */
function validity(now: Date, days: number): { notBeforeDate: Date; notAfterDate: Date } {
  return {
    notBeforeDate: new Date(now.getTime() - DAY_MS),
    notAfterDate: new Date(now.getTime() + days * DAY_MS),
  };
}

/** The pair, or nothing when a file is missing, unreadable, or the key is not the certificate's (a crash between two writes). */
function readPair(certFile: string, keyFile: string): Pair | undefined {
  if (!existsSync(certFile) || !existsSync(keyFile)) return undefined;
  const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  try {
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)) ? pair : undefined;
  } catch {
    return undefined;
  }
}

function daysLeft(pem: string, now: Date): number {
  return (new Date(new X509Certificate(pem).validTo).getTime() - now.getTime()) / DAY_MS;
}

function isSignedBy(certPem: string, caPem: string): boolean {
  return new X509Certificate(certPem).verify(new X509Certificate(caPem).publicKey);
}

function writePair(certFile: string, keyFile: string, pair: Pair): void {
  replaceFile(keyFile, pair.key, 0o600);
  replaceFile(certFile, pair.cert, 0o644);
}

function replaceFile(file: string, text: string, mode: number): void {
  const temporary = `${file}.new`;
  writeFileSync(temporary, text, { mode });
  renameSync(temporary, file);
}
