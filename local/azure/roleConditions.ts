/**
 * Conditions of role assignments. The simulator does not interpret their language: it knows whole conditions by their text, and refuses
 * others rather than ignore them.
 */

/** What a data request says of itself that conditions look at. */
export interface DataRequest {
  /** Whether it names a snapshot of a blob. */
  snapshot: boolean;
}

/** Deleting is allowed where the request names a snapshot: never of a blob itself. infra/security/vhdAccess.bicep assigns with it. */
export const DELETES_SNAPSHOTS_ONLY =
  "((!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'})) OR (Exists @Request[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:snapshot]))";

const KNOWN: Readonly<Record<string, (action: string, request: DataRequest) => boolean>> = {
  [normal(DELETES_SNAPSHOTS_ONLY)]: (action, request) =>
    !/\/blobs\/delete$/i.test(action) || request.snapshot,
};

/** White space says nothing in a condition. */
function normal(text: string): string {
  return text.replaceAll(/\s+/g, '').toLowerCase();
}

export const isKnownCondition = (condition: string): boolean => normal(condition) in KNOWN;

export function conditionHolds(condition: string, action: string, request: DataRequest): boolean {
  return KNOWN[normal(condition)]?.(action, request) ?? false;
}
