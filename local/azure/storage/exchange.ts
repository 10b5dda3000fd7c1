/** The ends of an exchange with the blob service: metadata and bodies in, answers and errors out. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { headerOf } from '../disks/blobRequest.ts';
import { OutletClosed } from '../disks/outlet.ts';
import { errorBody, WireError, wireError } from '../disks/wireErrors.ts';

const MAX_METADATA_BYTES = 8192;

/** `x-ms-meta-*`: names are identifiers, values printable. */
export function metadataOf(message: IncomingMessage): Record<string, string> {
  const metadata: Record<string, string> = {};
  let bytes = 0;
  for (const name of Object.keys(message.headers)) {
    if (!name.startsWith('x-ms-meta-')) continue;
    const key = name.slice('x-ms-meta-'.length);
    const value = headerOf(message, name) ?? '';
    if (!/^[a-z_][a-z0-9_]*$/i.test(key) || !/^[\x20-\x7e]*$/.test(value)) throw wireError('InvalidMetadata');
    bytes += key.length + value.length;
    metadata[key] = value;
  }
  if (bytes > MAX_METADATA_BYTES) throw wireError('MetadataTooLarge');
  return metadata;
}

export async function bodyText(message: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

export function sendXml(response: ServerResponse, text: string): void {
  const bytes = Buffer.from(text);
  response.writeHead(200, { 'Content-Type': 'application/xml', 'Content-Length': String(bytes.length) });
  response.end(bytes);
}

export function sendEmpty(response: ServerResponse, status: number, headers: Record<string, string>): void {
  response.writeHead(status, { ...headers, 'Content-Length': '0' });
  response.end();
}

export function answerError(
  error: unknown,
  message: IncomingMessage,
  response: ServerResponse,
  { requestId, now }: { requestId: string; now: Date },
): void {
  if (error instanceof OutletClosed || response.headersSent) {
    response.destroy();
    return;
  }
  if (!(error instanceof WireError)) console.error('The blob service failed:', error);
  const wire = error instanceof WireError ? error : wireError('InternalError');
  const hasBody = message.method !== 'HEAD' && wire.status !== 304;
  const bytes = hasBody ? Buffer.from(errorBody(wire, requestId, now)) : Buffer.alloc(0);
  response.writeHead(wire.status, {
    ...wire.headers,
    'x-ms-error-code': wire.code,
    ...(hasBody ? { 'Content-Type': 'application/xml', 'Content-Length': String(bytes.length) } : {}),
  });
  response.end(bytes);
}
