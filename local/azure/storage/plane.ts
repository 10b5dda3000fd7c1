/**
 * The blob service of storage accounts, as far as unmanaged disks need it: containers, page blobs, their snapshots and page lists,
 * user-delegation keys. Path-style: `/<account>/<container>/<blob>`. Reading, listing and writing pages are those of the disks' data plane.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlobRequest, blobHeaders, headerOf, windowOf } from '../disks/blobRequest.ts';
import { BlobView } from '../disks/blobView.ts';
import type { DataPlaneFaults, OperationName } from '../disks/faults.ts';
import { getPageRanges, listWindow, rangeSource } from '../disks/pageList.ts';
import { getBlob, getBlobProperties } from '../disks/readBlob.ts';
import { headerError, queryError, WireError, wireError, XML_DECLARATION } from '../disks/wireErrors.ts';
import { putPage } from '../disks/writePage.ts';
import { answerError, bodyText, metadataOf, sendEmpty, sendXml } from './exchange.ts';
import { listXml, tierOf } from './listXml.ts';
import type { PageBlobRecord, StorageAccounts } from './records.ts';
import { type Asked, bearer, GENERATE_KEY, type RightsParts, requireRight } from './rights.ts';

const DEFAULT_VERSION = '2020-12-06';
const PREMIUM_SNAPSHOTS = 100;
const PREMIUM_SNAPSHOT_EVERY_MS = 600_000;

export interface StoragePlaneParts extends RightsParts {
  accounts: StorageAccounts;
  faults?: DataPlaneFaults;
  /** `https://127.0.0.1:port`. */
  base: () => string;
}

/** One request, its path taken apart. */
interface Call extends Asked {
  response: ServerResponse;
  requestId: string;
  version: string;
}

export class StoragePlane {
  readonly #parts: StoragePlaneParts;

  constructor(parts: StoragePlaneParts) {
    this.#parts = parts;
  }

  /** Whether a path is that of an account. */
  owns(path: string): boolean {
    const [, account = ''] = path.split('/');
    return account !== '' && this.#parts.accounts.accounts.has(account);
  }

  /** Answers a request whose path it owns. Never rejects. */
  async handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    const { now } = this.#parts;
    response.setHeader('Server', 'Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0');
    response.setHeader('Date', now().toUTCString());
    response.setHeader('x-ms-request-id', requestId);
    const clientRequestId = headerOf(message, 'x-ms-client-request-id');
    if (clientRequestId !== undefined) response.setHeader('x-ms-client-request-id', clientRequestId);
    try {
      await this.#answer(this.#callOf(message, response, requestId));
    } catch (error) {
      answerError(error, message, response, { requestId, now: now() });
    }
  }

  #callOf(message: IncomingMessage, response: ServerResponse, requestId: string): Call {
    const url = new URL(message.url ?? '/', 'https://blob.invalid');
    const [name = '', container = '', ...rest] = url.pathname.slice(1).split('/');
    const account = this.#parts.accounts.accounts.get(name);
    if (!account) throw wireError('ContainerNotFound');
    const version = headerOf(message, 'x-ms-version') ?? url.searchParams.get('sv') ?? DEFAULT_VERSION;
    if (!/^\d{4}-\d{2}-\d{2}$/.test(version))
      throw headerError('InvalidHeaderValue', 'x-ms-version', version);
    response.setHeader('x-ms-version', version);
    const blob = decodeURIComponent(rest.join('/'));
    return { message, response, query: url.searchParams, account, container, blob, requestId, version };
  }

  async #answer(call: Call): Promise<void> {
    const { query, container, blob, account, message } = call;
    const comp = query.get('comp');
    if (container === '') {
      if (message.method === 'POST' && comp === 'userdelegationkey') return this.#delegationKey(call);
      throw wireError('UnsupportedHttpVerb');
    }
    if (blob === '') return this.#container(call);
    if (!account.containers.includes(container)) throw wireError('ContainerNotFound');
    const read = message.method === 'GET' || message.method === 'HEAD';
    if (message.method === 'PUT' && comp === null) return this.#putBlob(call);
    const record = this.#parts.accounts.get({ account: account.name, container, blob });
    if (message.method === 'PUT' && comp === 'snapshot') return this.#snapshot(call, record);
    if (message.method === 'PUT' && comp === 'page') return this.#putPage(call, record);
    if (message.method === 'PUT' && comp === 'metadata') return this.#setMetadata(call, record);
    if (message.method === 'DELETE' && comp === null) return this.#delete(call, record);
    if (read && (comp === null || comp === 'pagelist' || comp === 'metadata'))
      return this.#read(call, record);
    throw comp === null ? wireError('UnsupportedHttpVerb') : queryError('InvalidQueryParameterValue', 'comp');
  }

  async #delegationKey(call: Call): Promise<void> {
    const { account, message, version } = call;
    const { roles, tokens, delegation } = this.#parts;
    const oid = await bearer(this.#parts, call);
    if (!roles.allows(oid, GENERATE_KEY, account.id)) throw wireError('AuthorizationPermissionMismatch');
    const text = await bodyText(message);
    const [start, expiry] = ['Start', 'Expiry'].map(
      (name) => new RegExp(`<${name}>([^<]+)<`).exec(text)?.[1],
    );
    if (start === undefined || expiry === undefined) throw headerError('InvalidHeaderValue', 'KeyInfo');
    const key = { oid, tid: tokens.tenantId, start, expiry, service: 'b', version };
    let value: string;
    try {
      value = delegation.keyFor(account.name, key);
    } catch (error) {
      throw new WireError('OutOfRangeInput', 400, (error as Error).message);
    }
    const elements = Object.entries({
      SignedOid: oid,
      SignedTid: key.tid,
      SignedStart: start,
      SignedExpiry: expiry,
      SignedService: 'b',
      SignedVersion: version,
      Value: value,
    });
    const xml = elements.map(([name, one]) => `<${name}>${one}</${name}>`).join('');
    sendXml(call.response, `${XML_DECLARATION}<UserDelegationKey>${xml}</UserDelegationKey>`);
  }

  async #container(call: Call): Promise<void> {
    const { message, query, account, container, response } = call;
    if (query.get('restype') !== 'container') throw wireError('UnsupportedHttpVerb');
    if (message.method === 'PUT' && query.get('comp') === null) {
      await requireRight(this.#parts, call, 'write');
      if (!this.#parts.accounts.addContainer(account, container)) throw wireError('ContainerAlreadyExists');
      return sendEmpty(response, 201, {});
    }
    if (message.method !== 'GET' || query.get('comp') !== 'list') throw wireError('UnsupportedHttpVerb');
    await requireRight(this.#parts, call, 'list');
    if (!account.containers.includes(container)) throw wireError('ContainerNotFound');
    const endpoint = `${this.#parts.base()}/${account.name}/`;
    sendXml(response, listXml(this.#parts.accounts, query, { account: account.name, container, endpoint }));
  }

  async #putBlob(call: Call): Promise<void> {
    const { message, account, container, blob, response } = call;
    await requireRight(this.#parts, call, 'write');
    const { accounts } = this.#parts;
    if (headerOf(message, 'x-ms-blob-type') !== 'PageBlob') throw wireError('InvalidBlobType');
    const length = Number(headerOf(message, 'x-ms-blob-content-length'));
    if (!Number.isSafeInteger(length) || length <= 0 || length % 512 !== 0)
      throw headerError('InvalidHeaderValue', 'x-ms-blob-content-length');
    const place = { account: account.name, container, blob };
    const known = accounts.get(place);
    if (known && headerOf(message, 'if-none-match') === '*') throw wireError('BlobAlreadyExists');
    if (known?.leasedBy !== undefined) throw wireError('LeaseIdMissing');
    const record = await accounts.put(place, length, { metadata: metadataOf(message) });
    sendEmpty(response, 201, blobHeaders(this.#view(record.content)));
  }

  async #snapshot(call: Call, found: PageBlobRecord | undefined): Promise<void> {
    await requireRight(this.#parts, call, 'snapshot');
    const record = must(found);
    if (call.account.premium) refuseFast(record, this.#parts.now());
    const { time } = await this.#parts.accounts.snapshot(record, metadataOf(call.message));
    const view = this.#view(record.content);
    sendEmpty(call.response, 201, { ...blobHeaders(view), 'x-ms-snapshot': time });
  }

  async #setMetadata(call: Call, found: PageBlobRecord | undefined): Promise<void> {
    await requireRight(this.#parts, call, 'write');
    const record = must(found);
    if (call.query.has('snapshot')) throw queryError('InvalidQueryParameterValue', 'snapshot');
    if (record.leasedBy !== undefined) throw wireError('LeaseIdMissing');
    this.#parts.accounts.save({ ...record, metadata: metadataOf(call.message) });
    sendEmpty(call.response, 200, blobHeaders(this.#view(record.content)));
  }

  async #delete(call: Call, found: PageBlobRecord | undefined): Promise<void> {
    await requireRight(this.#parts, call, 'delete');
    const record = must(found);
    const { accounts } = this.#parts;
    const time = call.query.get('snapshot');
    if (time !== null) {
      snapshotOf(record, time);
      await accounts.removeSnapshot(record, time);
      return sendEmpty(call.response, 202, {});
    }
    const option = headerOf(call.message, 'x-ms-delete-snapshots')?.toLowerCase();
    if (record.snapshots.length > 0 && option === undefined) throw wireError('SnapshotsPresent');
    if (option === 'only') {
      for (const { time: one } of record.snapshots) {
        await accounts.removeSnapshot(must(accounts.get(record)), one);
      }
    } else {
      if (record.leasedBy !== undefined) throw wireError('LeaseIdMissing');
      await accounts.remove(record);
    }
    sendEmpty(call.response, 202, {});
  }

  async #putPage(call: Call, found: PageBlobRecord | undefined): Promise<void> {
    await requireRight(this.#parts, call, 'write');
    const record = must(found);
    if (record.leasedBy !== undefined) throw wireError('LeaseIdMissing');
    await putPage(this.#request(call, record, record.content), this.#parts.accounts.store);
  }

  async #read(call: Call, found: PageBlobRecord | undefined): Promise<void> {
    await requireRight(this.#parts, call, 'read');
    const record = must(found);
    const { message, query } = call;
    const time = query.get('snapshot');
    const snapshot = time === null ? undefined : snapshotOf(record, time);
    const request = this.#request(call, record, snapshot?.content ?? record.content, snapshot?.metadata);
    if (query.get('comp') !== 'pagelist') {
      if (message.method === 'HEAD' || query.get('comp') === 'metadata') return getBlobProperties(request);
      this.#meet(request, 'GetBlob');
      return getBlob(request);
    }
    if (headerOf(message, 'x-ms-previous-snapshot-url') !== undefined)
      throw wireError('UnsupportedHeaderForNonManagedDisksAccount', {
        elements: { HeaderName: 'x-ms-previous-snapshot-url' },
      });
    const previous = this.#previous(record, query.get('prevsnapshot'), time, request.view);
    const source = rangeSource(request.view, previous);
    this.#meet(
      request,
      previous ? 'GetPageRangesDiff' : 'GetPageRanges',
      (limit) => source(listWindow(request), limit).ranges.length,
    );
    return getPageRanges(request, source);
  }

  /** The older snapshot that `prevsnapshot` names. */
  #previous(record: PageBlobRecord, asked: string | null, time: string | null, view: BlobView) {
    if (asked === null) return undefined;
    const known = record.snapshots.find((one) => one.time === asked);
    if (!known) throw wireError('PreviousSnapshotNotFound');
    if (time !== null && asked > time) throw wireError('PreviousSnapshotCannotBeNewer');
    const previous = this.#view(known.content);
    if (previous.disk.lineage !== view.disk.lineage) throw wireError('BlobOverwritten');
    return previous;
  }

  #view(content: string): BlobView {
    return new BlobView(this.#parts.accounts.store, content, { pageBlob: true });
  }

  #request(call: Call, record: PageBlobRecord, content: string, metadata = record.metadata): BlobRequest {
    const { message, response, query, version, requestId, account } = call;
    const view = this.#view(content);
    const isBase = content === record.content;
    const leased = isBase && record.leasedBy !== undefined;
    const headers: Record<string, string> = {
      'x-ms-creation-time': new Date(record.createdAt).toUTCString(),
      'x-ms-lease-state': leased ? 'leased' : 'available',
      'x-ms-lease-status': leased ? 'locked' : 'unlocked',
      ...(leased ? { 'x-ms-lease-duration': 'infinite' } : {}),
      ...(account.premium
        ? { 'x-ms-access-tier': tierOf(view.length), 'x-ms-access-tier-inferred': 'true' }
        : {}),
      ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-ms-meta-${name}`, value])),
    };
    return {
      message,
      response,
      query,
      version,
      requestId,
      view,
      blobHeaders: headers,
      fault: undefined,
      stillGranted: () => true,
      received: () => undefined,
      over: () => undefined,
    };
  }

  /** Lets a fault by order of a test strike. */
  #meet(request: BlobRequest, name: OperationName, countRanges: (limit: number) => number = () => 0): void {
    const { message, view } = request;
    request.fault = this.#parts.faults?.meet({
      name,
      target: view.id,
      lineage: view.disk.lineage,
      window: windowOf(message, view.length),
      countRanges,
    });
    if (request.fault?.kind !== 'error') return;
    const { code, status, message: text, retryAfterSeconds } = request.fault;
    const headers = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) };
    throw new WireError(code, status, text, { headers });
  }
}

function must(record: PageBlobRecord | undefined): PageBlobRecord {
  if (!record) throw wireError('BlobNotFound');
  return record;
}

function snapshotOf(record: PageBlobRecord, time: string) {
  const found = record.snapshots.find((one) => one.time === time);
  if (!found) throw wireError('BlobNotFound');
  return found;
}

function refuseFast({ snapshots }: PageBlobRecord, now: Date): void {
  if (snapshots.length >= PREMIUM_SNAPSHOTS) throw wireError('SnapshotCountExceeded');
  const last = snapshots.at(-1);
  if (last && now.getTime() - Date.parse(last.time) < PREMIUM_SNAPSHOT_EVERY_MS)
    throw wireError('SnapshotOperationRateExceeded');
}
