import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fixedVhdFooter, snapshotTime, validateFooter } from '../../local/azure/disks/index.ts';
import { DataPlaneServer, MIB, type RawAnswer } from './dataplaneServer.ts';

const SIZE = 16 * MIB;
const PAGE = 4096;
const TIB = 1024 ** 4;
let server: DataPlaneServer;
/** Path and query of a standing SAS, by snapshot. */
const sas: Record<string, string> = {};

beforeAll(async () => {
  server = await DataPlaneServer.start({ newestVersion: '2026-10-06' });
  const { store } = server;
  await store.create('disk', SIZE);
  await store.write('disk', 0, Buffer.alloc(PAGE, 1));
  await store.write('disk', MIB, Buffer.alloc(3 * PAGE, 2));
  await server.snapshot('disk', 'snap1');
  await server.snapshot('disk', 'same1');
  await store.write('disk', 0, Buffer.alloc(512, 3));
  await store.clear('disk', MIB + PAGE, PAGE);
  await store.write('disk', 2 * MIB, Buffer.alloc(PAGE, 4));
  await server.snapshot('disk', 'snap2');
  await store.clone('snap1', 'copy');
  await server.snapshot('copy', 'copySnap');
  for (const id of ['snap1', 'same1', 'snap2', 'copySnap']) sas[id] = server.grant(id).pathAndQuery;
});
afterAll(() => server.stop());

function list(
  target: string,
  previous?: string,
  headers: Record<string, string> = {},
  query = '',
): Promise<RawAnswer> {
  return server.raw(`${sas[target]}&comp=pagelist${query}`, {
    headers: { ...(previous !== undefined && { 'x-ms-previous-snapshot-url': previous }), ...headers },
  });
}

function diff(headers: Record<string, string> = {}, query = ''): Promise<RawAnswer> {
  return list('snap2', server.origin + sas['snap1'], headers, query);
}

/** Status and code of an error answer, which has the shape of the Blob service's and gives nothing away. */
function refusal(answer: RawAnswer): [number, string] {
  const text = answer.body.toString('utf8');
  const [, code] =
    /^\uFEFF<\?xml version="1\.0" encoding="utf-8"\?><Error><Code>(\w+)<\/Code><Message>/.exec(text) ?? [];
  expect(code).toBe(answer.headers['x-ms-error-code']);
  expect(text).toContain(`RequestId:${answer.headers['x-ms-request-id'] as string}`);
  expect(text).not.toMatch(/sig=|[?&]si=/);
  return [answer.status, code ?? ''];
}

const xml = (inner: string) => `\uFEFF<?xml version="1.0" encoding="utf-8"?>\n${inner}`;
const range = (name: string, start: number, end: number) =>
  `<${name}><Start>${start}</Start><End>${end}</End></${name}>`;

describe('page lists', () => {
  test('the SAS of a snapshot has the recorded shape', () => {
    const { createdAt } = server.store.describe('snap1');
    expect(snapshotTime(new Date('2021-01-21T10:28:30.952Z'))).toBe('2021-01-21T10:28:30.9520000Z');
    const time = encodeURIComponent(snapshotTime(createdAt));
    expect(sas['snap1']).toMatch(
      new RegExp(
        `^/md-family1/abcd\\?snapshot=${time}&sv=2018-11-09&sr=bs&si=[0-9a-f]{64}&sig=[A-Za-z0-9%]+%3D$`,
      ),
    );
  });

  test('a diff is the recorded document: byte order mark, changed and cleared ranges interleaved', async () => {
    const answer = await diff();
    expect(answer.status).toBe(200);
    expect(answer.body.toString('utf8')).toBe(
      xml(
        `<PageList>${range('PageRange', 0, PAGE - 1)}${range('ClearRange', MIB + PAGE, MIB + 2 * PAGE - 1)}${range('PageRange', 2 * MIB, 2 * MIB + PAGE - 1)}</PageList>`,
      ),
    );
    expect(answer.body.subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
    expect(answer.headers).toMatchObject({
      'content-type': 'application/xml',
      'transfer-encoding': 'chunked',
      'x-ms-blob-content-length': String(SIZE + 512),
      'x-ms-version': '2021-04-10',
    });
    expect(answer.headers.etag).toMatch(/^"0x8[0-9A-F]{14}"$/);
    expect(answer.headers['last-modified']).toMatch(/GMT$/);
  });

  test('no change is an empty list without a marker', async () => {
    const answer = await list('same1', server.origin + sas['snap1']);
    expect(answer.body.toString('utf8')).toBe(xml('<PageList/>'));
  });

  test('a list in a window is cut to whole sectors of it', async () => {
    const answer = await list('snap1', undefined, { 'x-ms-range': `bytes=${MIB + 600}-${MIB + 5000}` });
    expect(answer.body.toString('utf8')).toBe(
      xml(`<PageList>${range('PageRange', MIB + 512, MIB + 5119)}</PageList>`),
    );
  });

  test('a window may be open, and begin in the footer, but not behind the end', async () => {
    const footer = range('PageRange', SIZE, SIZE + 511);
    const open = await list('snap1', undefined, { 'x-ms-range': `bytes=${2 * MIB}-` });
    expect(open.body.toString('utf8')).toBe(xml(`<PageList>${footer}</PageList>`));
    const last = await list('snap1', undefined, { 'x-ms-range': `bytes=${SIZE + 511}-${SIZE + 9000}` });
    expect(last.body.toString('utf8')).toBe(xml(`<PageList>${footer}</PageList>`));
    expect(refusal(await list('snap1', undefined, { 'x-ms-range': `bytes=${SIZE + 512}-` }))).toEqual([
      416,
      'InvalidRange',
    ]);
    expect(refusal(await list('snap1', undefined, { 'x-ms-range': 'bytes=9-3' }))).toEqual([
      400,
      'InvalidHeaderValue',
    ]);
  });

  test('maxresults cuts the list and the marker goes on after it', async () => {
    const first = (await diff({}, '&maxresults=2')).body.toString('utf8');
    const marker = /<NextMarker>(.+)<\/NextMarker><\/PageList>$/.exec(first)?.[1];
    expect(first).toContain('ClearRange');
    expect(first).not.toContain(String(2 * MIB));
    const second = await diff({}, `&maxresults=2&marker=${encodeURIComponent(marker ?? '')}`);
    expect(second.body.toString('utf8')).toBe(
      xml(`<PageList>${range('PageRange', 2 * MIB, 2 * MIB + PAGE - 1)}</PageList>`),
    );
    expect(refusal(await diff({}, '&maxresults=0'))).toEqual([400, 'OutOfRangeQueryParameterValue']);
    expect(refusal(await diff({}, '&maxresults=many'))).toEqual([400, 'InvalidQueryParameterValue']);
    expect(refusal(await diff({}, '&marker=elsewhere'))).toEqual([400, 'InvalidQueryParameterValue']);
    // Before paging existed its parameters were ignored.
    const old = await diff({ 'x-ms-version': '2019-12-12' }, '&maxresults=1');
    expect(old.body.toString('utf8')).not.toContain('NextMarker');
  });
});

describe('the previous snapshot of a diff', () => {
  test('a newer, a deleted, a foreign and a revoked one are each refused in their way', async () => {
    const previous = (id: string) => server.origin + sas[id];
    expect(refusal(await list('snap1', previous('snap2')))).toEqual([400, 'PreviousSnapshotCannotBeNewer']);
    expect(refusal(await list('snap2', previous('copySnap')))).toEqual([409, 'BlobGenerationMismatch']);
    await server.snapshot('disk', 'doomed');
    await server.snapshot('disk', 'after');
    const [doomed, after] = [server.grant('doomed'), server.grant('after')];
    sas['after'] = after.pathAndQuery;
    await server.store.delete('doomed');
    expect(refusal(await list('after', server.url(doomed)))).toEqual([409, 'PreviousSnapshotNotFound']);
    expect((await list('after', previous('snap2'))).status).toBe(200);
    server.policies.revoke(doomed.si);
    expect(refusal(await list('after', server.url(doomed)))).toEqual([403, 'AuthenticationFailed']);
  });

  test('a disk, a full snapshot, another address and garbage are refused', async () => {
    const disk = server.grant('disk', 'Read', { container: 'md-hdd-1' });
    expect(refusal(await list('snap2', server.url(disk)))).toEqual([
      409,
      'PreviousSnapshotOperationNotSupported',
    ]);
    expect(refusal(await list('snap2', `${server.origin}/holdfastrepo/blob?sig=x`))).toEqual([
      400,
      'InvalidHeaderValue',
    ]);
    expect(refusal(await list('snap2', 'yesterday'))).toEqual([400, 'InvalidHeaderValue']);
    const tampered = (server.origin + sas['snap1']).replace(/si=./, 'si=x');
    expect(refusal(await list('snap2', tampered))).toEqual([403, 'AuthenticationFailed']);
  });

  test('a version older than the feature is refused, with the header or with the one of the SAS', async () => {
    expect(refusal(await diff({ 'x-ms-version': '2019-02-02' }))).toEqual([409, 'FeatureVersionMismatch']);
    expect(refusal(await diff({ 'x-ms-version': '' }))).toEqual([400, 'InvalidHeaderValue']);
    expect(refusal(await diff({ 'x-ms-version': '2026-12-06' }))).toEqual([400, 'InvalidHeaderValue']);
  });

  test('growth moves the footer; growth over 4 TiB ends the diffs', async () => {
    const { store } = server;
    await store.create('growing', 2 * TIB);
    await server.snapshot('growing', 'small');
    await store.resize('growing', 4 * TIB);
    await server.snapshot('growing', 'middle');
    await store.resize('growing', 4 * TIB + MIB);
    await server.snapshot('growing', 'large');
    for (const id of ['small', 'middle', 'large']) sas[id] = server.grant(id).pathAndQuery;
    const grown = await list('middle', server.origin + sas['small']);
    expect(grown.body.toString('utf8')).toBe(
      xml(
        `<PageList>${range('ClearRange', 2 * TIB, 2 * TIB + 511)}${range('PageRange', 4 * TIB, 4 * TIB + 511)}</PageList>`,
      ),
    );
    expect(refusal(await list('large', server.origin + sas['middle']))).toEqual([
      409,
      'PreviousSnapshotOperationNotSupported',
    ]);
  });
});

describe('reading', () => {
  test('a range is 206 with Content-Range; x-ms-range wins over Range', async () => {
    const answer = await server.raw(sas['snap1'] as string, {
      headers: { 'x-ms-range': `bytes=${MIB - 2}-${MIB + 1}`, range: 'bytes=0-0' },
    });
    expect(answer).toMatchObject({
      status: 206,
      body: Buffer.from([0, 0, 2, 2]),
      headers: {
        'content-range': `bytes ${MIB - 2}-${MIB + 1}/${SIZE + 512}`,
        'content-length': '4',
        'x-ms-blob-type': 'PageBlob',
      },
    });
    const tail = await server.raw(sas['snap1'] as string, { headers: { range: `bytes=${SIZE + 500}-` } });
    expect([tail.status, tail.body.length]).toEqual([206, 12]);
    expect(
      refusal(await server.raw(sas['snap1'] as string, { headers: { range: `bytes=${SIZE + 512}-` } })),
    ).toEqual([416, 'InvalidRange']);
  });

  test('check sums of a range come when asked, up to 4 MiB', async () => {
    const path = sas['snap1'] as string;
    const md5 = await server.raw(path, {
      headers: { 'x-ms-range': 'bytes=0-8191', 'x-ms-range-get-content-md5': 'true' },
    });
    expect(md5.headers['content-md5']).toBe(createHash('md5').update(md5.body).digest('base64'));
    const headers = { 'x-ms-range': `bytes=0-${4 * MIB}`, 'x-ms-range-get-content-md5': 'true' };
    expect(refusal(await server.raw(path, { headers }))).toEqual([400, 'OutOfRangeInput']);
  });

  test('HEAD shows the copy properties of an incremental snapshot', async () => {
    const { headers, status, body } = await server.raw(sas['snap2'] as string, { method: 'HEAD' });
    expect([status, body.length]).toEqual([200, 0]);
    expect(headers).toMatchObject({
      'content-length': String(SIZE + 512),
      'x-ms-incremental-copy': 'true',
      'x-ms-copy-destination-snapshot': snapshotTime(server.store.describe('snap2').createdAt),
      'x-ms-copy-status': 'success',
      'x-ms-copy-progress': `${SIZE + 512}/${SIZE + 512}`,
      'x-ms-meta-pirtag': '1',
      'x-ms-server-encrypted': 'true',
    });
  });

  test('conditions: 304 for an unchanged copy, 412 for another state', async () => {
    const path = sas['snap1'] as string;
    const { headers } = await server.raw(path, { method: 'HEAD' });
    const [etag, modified] = [headers.etag as string, headers['last-modified'] as string];
    for (const name of ['if-none-match', 'if-modified-since']) {
      const answer = await server.raw(path, {
        headers: { [name]: name === 'if-none-match' ? etag : modified },
      });
      expect([answer.status, answer.headers['x-ms-error-code'], answer.body.length]).toEqual([
        304,
        'ConditionNotMet',
        0,
      ]);
    }
    expect(refusal(await server.raw(path, { headers: { 'if-match': '"0x8D0"' } }))).toEqual([
      412,
      'ConditionNotMet',
    ]);
    const before = new Date(Date.parse(modified) - 1000).toUTCString();
    expect(refusal(await list('snap1', undefined, { 'if-unmodified-since': before }))).toEqual([
      412,
      'ConditionNotMet',
    ]);
    expect((await server.raw(path, { headers: { 'if-match': etag, range: 'bytes=0-0' } })).status).toBe(206);
  });

  test('expiry, a changed signature, another snapshot or container, and another verb are refused', async () => {
    const brief = server.grant('snap1', 'Read', { hours: 1 }).pathAndQuery;
    expect((await server.raw(brief, { method: 'HEAD' })).status).toBe(200);
    const path = sas['snap1'] as string;
    expect(refusal(await server.raw(path.replace(/sig=...../, 'sig=AAAAA')))).toEqual([
      403,
      'AuthenticationFailed',
    ]);
    expect(refusal(await server.raw(path.replace('md-family1', 'md-family2')))).toEqual([
      403,
      'AuthenticationFailed',
    ]);
    expect(refusal(await server.raw(path.replace('sv=2018-11-09', 'sv=2020-11-09')))).toEqual([
      403,
      'AuthenticationFailed',
    ]);
    expect(refusal(await server.raw(path.replace(/snapshot=[^&]+/, 'snapshot=2020-01-01')))).toEqual([
      403,
      'AuthenticationFailed',
    ]);
    expect(refusal(await server.raw('/md-family1/abcd'))).toEqual([403, 'AuthenticationFailed']);
    expect(refusal(await server.raw(path, { method: 'DELETE' }))).toEqual([
      403,
      'AuthorizationPermissionMismatch',
    ]);
    expect(refusal(await server.raw(path, { method: 'PATCH' }))).toEqual([405, 'UnsupportedHttpVerb']);
    expect((await server.raw('/holdfast/abcd')).body.toString()).toBe('not a disk');
    const writing = { 'x-ms-range': 'bytes=0-511', 'x-ms-page-write': 'clear', 'content-length': '0' };
    expect(refusal(await server.raw(`${path}&comp=page`, { method: 'PUT', headers: writing }))).toEqual([
      403,
      'AuthorizationPermissionMismatch',
    ]);
    server.clock.time += 3_600_000;
    expect(refusal(await server.raw(brief))).toEqual([403, 'AuthenticationFailed']);
    server.clock.time -= 3_600_000;
  });
});

describe('writing', () => {
  const upload = (headers: Record<string, string>, body: Buffer = Buffer.alloc(0)) =>
    server.raw(`${sas['upload']}&comp=page`, {
      method: 'PUT',
      headers: { 'content-length': String(body.length), 'x-ms-page-write': 'update', ...headers },
      body,
    });

  beforeAll(async () => {
    await server.store.createForUpload('upload', SIZE + 512);
    sas['upload'] = server.grant('upload', 'Write', { container: 'md-impexp-2' }).pathAndQuery;
  });

  test('pages are written with their check sum, 4 MiB at most, on whole sectors', async () => {
    const bytes = Buffer.from('123456789'.repeat(512), 'latin1').subarray(0, 512);
    const written = await upload({ 'x-ms-range': 'bytes=512-1023' }, bytes);
    expect(written).toMatchObject({
      status: 201,
      headers: { 'x-ms-blob-sequence-number': '0', 'x-ms-request-server-encrypted': 'true' },
    });
    const crc = written.headers['x-ms-content-crc64'] as string;
    expect((await upload({ 'x-ms-range': 'bytes=0-511', 'x-ms-content-crc64': crc }, bytes)).status).toBe(
      201,
    );
    const md5 = createHash('md5').update(bytes).digest('base64');
    expect(
      (await upload({ 'x-ms-range': 'bytes=0-511', 'content-md5': md5 }, bytes)).headers['content-md5'],
    ).toBe(md5);
    const other = Buffer.alloc(512, 9);
    expect(refusal(await upload({ 'x-ms-range': 'bytes=0-511', 'x-ms-content-crc64': crc }, other))).toEqual([
      400,
      'Crc64Mismatch',
    ]);
    expect(refusal(await upload({ 'x-ms-range': 'bytes=0-511', 'content-md5': md5 }, other))).toEqual([
      400,
      'Md5Mismatch',
    ]);
    expect((await server.store.read('upload', 0, 512)).equals(bytes)).toBe(true);
    const large = Buffer.alloc(4 * MIB + 512);
    expect(refusal(await upload({ 'x-ms-range': `bytes=0-${large.length - 1}` }, large))).toEqual([
      413,
      'RequestBodyTooLarge',
    ]);
    expect(refusal(await upload({ 'x-ms-range': 'bytes=1-512' }, other))).toEqual([416, 'InvalidPageRange']);
    expect(refusal(await upload({ 'x-ms-range': `bytes=${SIZE + 512}-${SIZE + 1023}` }, other))).toEqual([
      416,
      'InvalidPageRange',
    ]);
    expect(refusal(await upload({ 'x-ms-range': 'bytes=0-1023' }, other))).toEqual([
      400,
      'InvalidHeaderValue',
    ]);
    expect(refusal(await upload({}, other))).toEqual([400, 'MissingRequiredHeader']);
    expect(refusal(await upload({ 'x-ms-range': 'bytes=0-511', 'x-ms-page-write': 'erase' }, other))).toEqual(
      [400, 'InvalidHeaderValue'],
    );
    expect(
      refusal(await upload({ 'x-ms-range': 'bytes=0-511', 'x-ms-if-sequence-number-lt': '0' }, other)),
    ).toEqual([412, 'SequenceNumberConditionNotMet']);
    const fromUrl = { 'x-ms-range': 'bytes=0-511', 'x-ms-copy-source': server.origin + sas['snap1'] };
    expect(refusal(await upload(fromUrl))).toEqual([409, 'CopySourceCannotBeIncrementalCopyBlob']);
  });

  test('a revocation also stops a write whose body is still on its way', async () => {
    await server.store.create('late', MIB);
    const grant = server.grant('late', 'Write', { container: 'md-impexp-3' });
    const answer = await server.raw(`${grant.pathAndQuery}&comp=page`, {
      method: 'PUT',
      headers: {
        'content-length': '512',
        'x-ms-page-write': 'update',
        'x-ms-range': 'bytes=0-511',
        expect: '100-continue',
      },
      body: Buffer.alloc(512, 1),
      beforeBody: () => expect(server.policies.revoke(grant.si)).toBe(true),
    });
    expect(refusal(answer)).toEqual([403, 'AuthenticationFailed']);
    expect(server.store.stat('late').allocatedBytes).toBe(0);
  });

  test('a clear may be longer than 4 MiB and has no body', async () => {
    const headers = { 'x-ms-page-write': 'clear', 'x-ms-range': `bytes=0-${8 * MIB - 1}` };
    expect((await upload(headers)).status).toBe(201);
    expect(server.store.stat('upload').allocatedBytes).toBe(0);
    expect(refusal(await upload(headers, Buffer.alloc(512)))).toEqual([400, 'InvalidHeaderValue']);
  });

  test('the footer is judged when the write ends', async () => {
    const url = server.origin + sas['upload'];
    const missing = await validateFooter(server.store, 'upload', url);
    expect(missing).toEqual({
      ok: false,
      code: 'InvalidVhd',
      message: `The specified cookie value in VHD footer indicates that disk 'abcd' with blob ${server.origin}/md-impexp-2/abcd is not a supported VHD. Disk is expected to have cookie value 'conectix'.`,
    });
    const footer = fixedVhdFooter(SIZE, 'any');
    const at = { 'x-ms-range': `bytes=${SIZE}-${SIZE + 511}` };
    const damaged = Buffer.from(footer);
    damaged[50] = 1;
    await upload(at, damaged);
    expect(await validateFooter(server.store, 'upload', url)).toMatchObject({
      ok: false,
      message: expect.stringContaining('checksum'),
    });
    await upload(at, fixedVhdFooter(SIZE + 512, 'any'));
    expect(await validateFooter(server.store, 'upload', url)).toMatchObject({
      ok: false,
      message: expect.stringContaining('size'),
    });
    await upload(at, footer);
    expect(await validateFooter(server.store, 'upload', url)).toEqual({ ok: true });
  });
});

test('grants and their revocation survive a restart', async () => {
  const own = await DataPlaneServer.start();
  try {
    await own.store.create('disk', MIB);
    const [kept, revoked] = [own.grant('disk'), own.grant('disk')];
    own.policies.revoke(revoked.si);
    await own.restart();
    expect((await own.raw(kept.pathAndQuery, { method: 'HEAD' })).status).toBe(200);
    expect((await own.raw(revoked.pathAndQuery, { method: 'HEAD' })).status).toBe(403);
    expect(own.policies.issued(kept.si)).toEqual(kept);
    expect(own.policies.list().map(({ si }) => si)).toEqual([kept.si]);
  } finally {
    await own.stop();
  }
});

test('the log names what was read, and no signature', async () => {
  server.log.length = 0;
  await server.raw(sas['snap1'] as string, { headers: { 'x-ms-range': 'bytes=0-99' } });
  await diff({ 'x-ms-range': 'bytes=0-8191' });
  await server.raw((sas['snap1'] as string).replace('sig=', 'sig=A'));
  expect(
    server.log.map(({ operation, target, range: asked, status, code }) => ({
      operation,
      target,
      asked,
      status,
      code,
    })),
  ).toEqual([
    { operation: 'GetBlob', target: 'snap1', asked: 'bytes=0-99', status: 206, code: undefined },
    { operation: 'GetPageRangesDiff', target: 'snap2', asked: 'bytes=0-8191', status: 200, code: undefined },
    { operation: undefined, target: undefined, asked: undefined, status: 403, code: 'AuthenticationFailed' },
  ]);
  expect(server.log[0]?.sent).toBe(100);
  const signature = /sig=([^&]+)/.exec(sas['snap1'] as string)?.[1] as string;
  expect(JSON.stringify(server.log)).not.toContain(signature.slice(0, 20));
});
