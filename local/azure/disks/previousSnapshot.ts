/** The snapshot that a diff is taken against: named by its own SAS URL in a header, and let in like any other request. */
import type { AccessPolicies } from './accessPolicies.ts';
import { type BlobRequest, headerOf } from './blobRequest.ts';
import { BlobView } from './blobView.ts';
import type { DiskStore } from './types.ts';
import { headerError, wireError } from './wireErrors.ts';

const HEADER = 'x-ms-previous-snapshot-url';
const SINCE = '2019-07-07';
/** Diffs do not reach across a resize over this size. */
const BOUNDARY_BYTES = 4 * 1024 ** 4;

/** Resolves the header of a diff request. Throws the error answer when the snapshot cannot serve as previous one. */
export function previousSnapshot(
  { store, policies }: { store: DiskStore; policies: AccessPolicies },
  request: BlobRequest,
): BlobView {
  const { message, version, grant, view } = request;
  if (version < SINCE) throw headerError('FeatureVersionMismatch', HEADER);
  const text = headerOf(message, HEADER) ?? '';
  const url = URL.parse(text);
  const container = /^\/(md-[a-z0-9-]+)\/abcd$/.exec(url?.pathname ?? '')?.[1];
  // The value is a secret: it is never repeated in the answer.
  if (!url || container === undefined) throw headerError('InvalidHeaderValue', HEADER);
  const verdict = policies.verify(container, url.searchParams);
  if ('denied' in verdict) {
    throw wireError('AuthenticationFailed', {
      elements: { AuthenticationErrorDetail: `${HEADER}: ${verdict.denied}` },
    });
  }
  if (!store.has(verdict.grant.target)) throw wireError('PreviousSnapshotNotFound');
  const previous = new BlobView(store, verdict.grant.target);
  const incremental = grant?.snapshotTime !== undefined && verdict.grant.snapshotTime !== undefined;
  if (!incremental || previous.disk.kind !== 'snapshot')
    throw wireError('PreviousSnapshotOperationNotSupported');
  if (previous.disk.lineage !== view.disk.lineage) throw wireError('BlobGenerationMismatch');
  if (view.disk.kind === 'snapshot' && previous.disk.sequence > view.disk.sequence) {
    throw wireError('PreviousSnapshotCannotBeNewer');
  }
  if (previous.disk.sizeBytes <= BOUNDARY_BYTES && view.disk.sizeBytes > BOUNDARY_BYTES) {
    throw wireError('PreviousSnapshotOperationNotSupported');
  }
  return previous;
}
