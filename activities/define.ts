import type { InvocationContext } from '@azure/functions';
import * as df from 'durable-functions';
import { z } from 'zod';
import { type Installation, openInstallation } from '../lib/installation/index.ts';
import { type Failure, sessionIdSchema, toFailure } from '../lib/model/index.ts';
import { type Instances, withThrottling } from '../lib/sessions/index.ts';
import { redact } from '../lib/telemetry/index.ts';
import { durableInstances } from './instances.ts';
import type { ActivityInput, ActivityName, ActivityResult, Outcome } from './names.ts';

/** What an activity works with. */
export interface Work {
  readonly installation: Installation;
  readonly instances: Instances;
}

export interface Activity {
  readonly name: ActivityName;
  /** Does it. Never throws: what goes wrong is a failure in the outcome. */
  perform(work: Work, input: unknown): Promise<Outcome<unknown>>;
  register(): void;
}

/** Inputs that several activities share. */
export const ofSession = z.object({ sessionId: sessionIdSchema });
export const ofDisk = ofSession.extend({ disk: z.number().int().nonnegative() });

/**
 * Defines an activity: parse the input, call `lib`, return a small result. Whatever is thrown comes back as a failure, so
 * that nothing is ever thrown inside a fan-out.
 */
export function activity<N extends ActivityName>(
  name: N,
  input: z.ZodType<ActivityInput<N>>,
  handle: (work: Work, input: ActivityInput<N>) => Promise<ActivityResult<N>>,
): Activity {
  const perform = async (work: Work, given: unknown): Promise<Outcome<ActivityResult<N>>> => {
    try {
      const parsed = input.parse(given);
      const value = await withThrottling(work.installation, parsed.sessionId, () => handle(work, parsed));
      return { ok: true, value };
    } catch (error) {
      return failed(error);
    }
  };
  const handler = async (given: unknown, context: InvocationContext) => {
    const outcome = await openWork(context).then((work) => perform(work, given), failed);
    if (!outcome.ok) context.warn(`${name}: ${outcome.failure.code}: ${outcome.failure.message}`);
    return outcome;
  };
  return {
    name,
    perform,
    register: () => df.app.activity(name, { handler, extraInputs: [df.input.durableClient()] }),
  };
}

async function openWork(context: InvocationContext): Promise<Work> {
  return { installation: await openInstallation(), instances: durableInstances(df.getClient(context)) };
}

function failed(error: unknown): { ok: false; failure: Failure } {
  const failure = toFailure(error);
  // What nobody foresaw is worth its stack; it goes where the failure goes.
  const text =
    failure.code === 'internal' && error instanceof Error
      ? (error.stack ?? failure.message)
      : failure.message;
  return { ok: false, failure: { ...failure, message: redact(text) } };
}
