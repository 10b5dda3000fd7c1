import { HoldfastError } from '../model/index.ts';
import { movedOn, taken } from './memoryTable.ts';

interface ServiceError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly details?: { readonly odataError?: { readonly code?: string }; readonly errorCode?: string };
}

const asService = (error: unknown): ServiceError =>
  typeof error === 'object' && error !== null ? error : {};

/** HTTP status of what the SDK threw. */
export const statusOf = (error: unknown): number | undefined => asService(error).statusCode;

/** The service's own code: in `details` of a plain call, in `code` of a batch. */
export function odataCode(error: unknown): string | undefined {
  const { details, code } = asService(error);
  return details?.odataError?.code ?? details?.errorCode ?? code ?? undefined;
}

/** Any failure of a table call as a `HoldfastError` about that entity. */
export function tableError(error: unknown, table: string, partition: string, row: string): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const status = statusOf(error);
  const code = odataCode(error) ?? 'no code';
  const target = `${partition}/${row}`;
  const on = `Table ${table}, ${target}`;
  // Without the SDK's error as its cause: that holds the request, and with it the token.
  const options = { target };
  if (status === 409 && code === 'TableBeingDeleted') {
    return new HoldfastError('unavailable', `${on}: the table is being deleted; try again later.`, options);
  }
  if (status === 409) return taken(table, partition, row);
  if (status === 412) return movedOn(table, partition, row);
  if (status === 401 || status === 403) {
    return new HoldfastError(
      'accessDenied',
      `${on}: access denied (${code}). The app's identity needs the role Storage Table Data Contributor on the account.`,
      options,
    );
  }
  if (status === 429) return new HoldfastError('throttled', `${on}: too many requests (${code}).`, options);
  if (status === 404) return new HoldfastError('notFound', `${on}: not found (${code}).`, options);
  if (status === 400 || status === 413) {
    return new HoldfastError('invalidInput', `${on}: refused by the service (${status} ${code}).`, options);
  }
  const name = error instanceof Error ? error.name : '';
  if (status === 408 || name === 'AbortError' || name === 'TimeoutError') {
    return new HoldfastError('timeout', `${on}: no answer in time.`, options);
  }
  const why =
    status === undefined ? (error instanceof Error ? error.message : String(error)) : `${status} ${code}`;
  return new HoldfastError('unavailable', `${on}: ${why}.`, options);
}
