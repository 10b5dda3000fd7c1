/** The answers of the WORM blob service that are more than a status: listings, and the headers of policies. */
import type { BlobVersionRecord, VersionedContainer } from './versions.ts';

const PAGE = 5000;

export const policyHeaders = ({ policy }: Pick<BlobVersionRecord, 'policy'>): Record<string, string> =>
  policy
    ? {
        'x-ms-immutability-policy-until-date': policy.until.toUTCString(),
        'x-ms-immutability-policy-mode': policy.mode,
      }
    : {};

/** List Blobs: `include` of versions and immutabilitypolicy, pages by marker. */
export function listing(container: VersionedContainer, key: string, query: URLSearchParams): string {
  const include = new Set((query.get('include') ?? '').split(','));
  const prefix = query.get('prefix') ?? '';
  const all = container.list(prefix, include.has('versions'));
  const from = Number(query.get('marker') ?? 0) || 0;
  const size = Math.min(PAGE, Number(query.get('maxresults') ?? PAGE) || PAGE);
  const page = all.slice(from, from + size);
  const next = from + size < all.length ? String(from + size) : '';
  const blobs = page.map((record) => blob(record, include)).join('');
  return `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://worm/" ContainerName="${escape(key.split('/')[1] ?? '')}"><Prefix>${escape(prefix)}</Prefix><MaxResults>${size}</MaxResults><Blobs>${blobs}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`;
}

function blob(record: BlobVersionRecord, include: ReadonlySet<string>): string {
  const { name, version, current, policy, lastModified, etag, bytes, contentMd5 } = record;
  const versions = include.has('versions')
    ? `<VersionId>${version}</VersionId>${current ? '<IsCurrentVersion>true</IsCurrentVersion>' : ''}`
    : '';
  const policies =
    policy && include.has('immutabilitypolicy')
      ? `<ImmutabilityPolicyUntilDate>${policy.until.toUTCString()}</ImmutabilityPolicyUntilDate><ImmutabilityPolicyMode>${policy.mode}</ImmutabilityPolicyMode>`
      : '';
  // Listings give etags without their quotes.
  const properties = `<Creation-Time>${lastModified.toUTCString()}</Creation-Time><Last-Modified>${lastModified.toUTCString()}</Last-Modified><Etag>${etag.replaceAll('"', '')}</Etag><Content-Length>${bytes.length}</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-MD5>${contentMd5}</Content-MD5><BlobType>BlockBlob</BlobType>${policies}`;
  return `<Blob><Name>${escape(name)}</Name>${versions}<Properties>${properties}</Properties></Blob>`;
}

/** Get User Delegation Key: the times that were asked for, and a key. */
export function delegationKey(request: string, oid: string, value: string): string {
  const time = (tag: string) => new RegExp(`<${tag}>([^<]+)</${tag}>`).exec(request)?.[1] ?? '';
  return `<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>${oid}</SignedOid><SignedTid>${oid}</SignedTid><SignedStart>${escape(time('Start'))}</SignedStart><SignedExpiry>${escape(time('Expiry'))}</SignedExpiry><SignedService>b</SignedService><SignedVersion>2024-11-04</SignedVersion><Value>${value}</Value></UserDelegationKey>`;
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
