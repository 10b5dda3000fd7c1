/** List Blobs: page blobs of a container, with their snapshots and metadata where they are asked for. */
import { BlobView } from '../disks/blobView.ts';
import { BOM, queryError, XML_DECLARATION } from '../disks/wireErrors.ts';
import { type PageBlobRecord, type StorageAccounts } from './records.ts';

const MOST = 5000;

interface Item {
  record: PageBlobRecord;
  content: string;
  snapshot: string | null;
  metadata: Record<string, string>;
}

export function listXml(
  accounts: StorageAccounts,
  query: URLSearchParams,
  at: { account: string; container: string; endpoint: string },
): string {
  const prefix = query.get('prefix') ?? '';
  const include = new Set((query.get('include') ?? '').split(','));
  const most = Math.min(Number(query.get('maxresults') ?? MOST), MOST);
  if (!(most > 0)) throw queryError('OutOfRangeQueryParameterValue', 'maxresults');
  const from = Number(Buffer.from(query.get('marker') ?? '', 'base64url').toString('latin1') || 0);
  if (!Number.isInteger(from) || from < 0) throw queryError('InvalidQueryParameterValue', 'marker');
  const items = accounts
    .list(at.account, at.container)
    .filter(({ blob }) => blob.startsWith(prefix))
    .flatMap((record): Item[] => [
      ...(include.has('snapshots')
        ? record.snapshots.map(({ time, content, metadata }) => ({
            record,
            content,
            snapshot: time,
            metadata,
          }))
        : []),
      { record, content: record.content, snapshot: null, metadata: record.metadata },
    ]);
  const page = items.slice(from, from + most);
  const rest = from + most < items.length ? Buffer.from(String(from + most)).toString('base64url') : '';
  const blobs = page.map((item) => itemXml(accounts, item, include.has('metadata'))).join('');
  return (
    `${BOM}${XML_DECLARATION}<EnumerationResults ServiceEndpoint="${escape(at.endpoint)}" ContainerName="${escape(at.container)}">` +
    `${element('Prefix', prefix)}${element('MaxResults', most)}<Blobs>${blobs}</Blobs>${element('NextMarker', rest)}</EnumerationResults>`
  );
}

function itemXml(accounts: StorageAccounts, item: Item, withMetadata: boolean): string {
  const { record, snapshot, metadata } = item;
  const view = new BlobView(accounts.store, item.content, { pageBlob: true });
  const leased = snapshot === null && record.leasedBy !== undefined;
  const premium = accounts.accounts.get(record.account)?.premium === true;
  const properties = [
    element('Creation-Time', new Date(record.createdAt).toUTCString()),
    element('Last-Modified', view.disk.modifiedAt.toUTCString()),
    element('Etag', view.etag.replaceAll('"', '')),
    element('Content-Length', view.length),
    element('Content-Type', 'application/octet-stream'),
    element('x-ms-blob-sequence-number', 0),
    element('BlobType', 'PageBlob'),
    ...(premium ? [element('AccessTier', tierOf(view.length)), element('AccessTierInferred', true)] : []),
    ...(snapshot === null
      ? [
          element('LeaseStatus', leased ? 'locked' : 'unlocked'),
          element('LeaseState', leased ? 'leased' : 'available'),
          ...(leased ? [element('LeaseDuration', 'infinite')] : []),
        ]
      : []),
    element('ServerEncrypted', true),
  ].join('');
  const said = Object.entries(metadata)
    .map(([name, value]) => element(name, value))
    .join('');
  return (
    `<Blob>${element('Name', record.blob)}${snapshot === null ? '' : element('Snapshot', snapshot)}` +
    `<Properties>${properties}</Properties>${withMetadata ? `<Metadata>${said}</Metadata>` : ''}</Blob>`
  );
}

/** The tier that a premium page blob of this length falls into. */
export function tierOf(length: number): string {
  const steps = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
  const tiers = ['P6', 'P10', 'P15', 'P20', 'P30', 'P40', 'P50', 'P60'];
  const at = steps.findIndex((gib) => length <= gib * 2 ** 30);
  return tiers[at < 0 ? tiers.length - 1 : at] ?? 'P60';
}

const element = (name: string, value: string | number | boolean): string =>
  `<${name}>${escape(String(value))}</${name}>`;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
