/**
 * A blob service, as far as a repository needs it, in a process of its own: Put Blob with conditions, ranged GET, HEAD, List
 * Blobs, DELETE. It stores what it is given, in memory that it touched before anything was measured.
 */
import { Arena } from './arena.ts';
import { answering, type Handler, type LeanAnswer, type LeanRequest, serve } from './leanServer.ts';

interface Blob {
  readonly bytes: Buffer;
  readonly size: number;
  readonly etag: string;
  readonly modified: string;
}

const arena = new Arena(Number(process.argv[2]));
const blobs = new Map<string, Blob>();
const requests = { read: 0, write: 0, other: 0 };
const bytes = { read: 0, write: 0 };
let versions = 0;

function refuse(status: number, code: string): LeanAnswer {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  return {
    status,
    headers: { 'x-ms-error-code': code, 'content-type': 'application/xml' },
    body: Buffer.from(body),
  };
}

const versionOf = ({ etag, modified }: Blob) => ({ etag, 'last-modified': modified });

function put(name: string, request: LeanRequest): Handler {
  requests.write++;
  const length = Number(request.headers['content-length'] ?? 0);
  ++versions;
  const target = arena.take(length);
  let size = 0;
  const onData = (piece: Buffer) => {
    size += piece.copy(target, size);
  };
  const onEnd = () => {
    bytes.write += size;
    const known = blobs.get(name);
    const { 'if-none-match': none, 'if-match': match } = request.headers;
    const refused =
      none === '*' && known ? 'BlobAlreadyExists' : match && match !== known?.etag ? 'ConditionNotMet' : null;
    if (refused) {
      return refuse(refused === 'BlobAlreadyExists' ? 409 : 412, refused);
    }
    const blob = {
      bytes: target,
      size,
      etag: `"0x${versions.toString(16)}"`,
      modified: new Date().toUTCString(),
    };
    blobs.set(name, blob);
    return { status: 201, headers: versionOf(blob) };
  };
  return { onData, onEnd };
}

function get(name: string, request: LeanRequest): LeanAnswer {
  requests.read++;
  const blob = blobs.get(name);
  if (!blob) return refuse(404, 'BlobNotFound');
  const [, from, to] =
    /bytes=(\d+)-(\d*)/.exec(request.headers['x-ms-range'] ?? request.headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  const end = Math.min(to ? Number(to) : blob.size - 1, blob.size - 1);
  if (start >= blob.size && blob.size > 0) return refuse(416, 'InvalidRange');
  const headers = { ...versionOf(blob), 'content-type': 'application/octet-stream' };
  if (request.method === 'HEAD') return { status: 200, headers, length: blob.size };
  const content = blob.bytes.subarray(start, end + 1);
  bytes.read += content.length;
  if (from === undefined) return { status: 200, headers, body: content };
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${start}-${end}/${blob.size}` },
    body: content,
  };
}

function list(url: URL): LeanAnswer {
  requests.other++;
  const prefix = `${url.pathname.slice(1)}/${url.searchParams.get('prefix') ?? ''}`;
  const container = url.pathname.length;
  const names = [...blobs.keys()].filter((name) => name.startsWith(prefix)).sort();
  const items = names.map((name) => {
    const { etag, modified, size } = blobs.get(name) as Blob;
    return `<Blob><Name>${name.slice(container)}</Name><Properties><Last-Modified>${modified}</Last-Modified><Etag>${etag.replaceAll('"', '')}</Etag><Content-Length>${size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>`;
  });
  const body = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>${items.join('')}</Blobs><NextMarker /></EnumerationResults>`;
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: Buffer.from(body) };
}

function remove(name: string): LeanAnswer {
  requests.other++;
  const blob = blobs.get(name);
  if (!blob) return refuse(404, 'BlobNotFound');
  blobs.delete(name);
  return { status: 202 };
}

function usage(): LeanAnswer {
  const { user, system } = process.cpuUsage();
  let stored = 0;
  for (const [name, { size }] of blobs) if (!name.includes('/staging/')) stored += size;
  const told = { cpuS: (user + system) / 1e6, requests, bytes, stored, objects: blobs.size };
  return { status: 200, body: Buffer.from(JSON.stringify(told)) };
}

serve((request) => {
  const { method, url } = request;
  const name = decodeURIComponent(url.pathname.slice(1));
  if (method === 'PUT') return put(name, request);
  return answering(() => {
    if (url.pathname === '/usage') return usage();
    if (url.searchParams.get('comp') === 'list') return list(url);
    if (method === 'GET' || method === 'HEAD') return get(name, request);
    return method === 'DELETE' ? remove(name) : refuse(405, 'UnsupportedHttpVerb');
  });
});
