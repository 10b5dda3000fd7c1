import { z } from 'zod';
import type { FailureDetails } from './history.ts';
import type { InvocationFailure } from './invoke.ts';

/** What the app's exception-properties provider puts in place of the message. */
const provided = z.object({
  errorType: z.string(),
  errorMessage: z.string(),
  isNonRetriable: z.boolean(),
  properties: z.unknown().optional(),
  stackTrace: z.string().optional(),
});

/** How a failed activity is written in the history of the orchestration, as the real host words it. */
export function activityFailure(
  name: string,
  failure: InvocationFailure,
): { Reason: string; Details: string; FailureDetails?: FailureDetails } {
  const details = providedDetails(failure.reason);
  const message = details?.ErrorMessage ?? failure.reason;
  return {
    // Two blanks: one belongs to the sentence, one to the text that the worker sent.
    Reason: `Activity function '${name}' failed:  ${message}`,
    Details: JSON.stringify({
      $type: 'System.Exception, System.Private.CoreLib',
      Message: ` ${message}`,
      StackTrace: failure.trace,
    }),
    ...(details ? { FailureDetails: details } : {}),
  };
}

function providedDetails(reason: string): FailureDetails | undefined {
  if (!reason.startsWith('{')) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(reason);
  } catch {
    return undefined;
  }
  const parsed = provided.safeParse(json);
  if (!parsed.success) return undefined;
  const { errorType, errorMessage, isNonRetriable, properties, stackTrace } = parsed.data;
  return {
    ErrorType: errorType,
    ErrorMessage: errorMessage,
    StackTrace: stackTrace,
    IsNonRetriable: isNonRetriable,
    Properties: properties,
  };
}
