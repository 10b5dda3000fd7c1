import type { InvocationContext } from '@azure/functions';
import * as df from 'durable-functions';
import { z } from 'zod';
import { type Installation, openInstallation } from '../lib/installation/index.ts';
import { sessionIdSchema, toFailure } from '../lib/model/index.ts';
import type { Instances } from '../lib/sessions/index.ts';
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
  const handler = async (given: unknown, context: InvocationContext): Promise<Outcome<ActivityResult<N>>> => {
    try {
      const installation = await openInstallation();
      const instances = durableInstances(df.getClient(context));
      return { ok: true, value: await handle({ installation, instances }, input.parse(given)) };
    } catch (error) {
      const failure = toFailure(error);
      const message = redact(failure.message);
      if (failure.code === 'internal')
        context.error(redact(error instanceof Error ? (error.stack ?? message) : message));
      else context.warn(`${name}: ${failure.code}: ${message}`);
      return { ok: false, failure: { ...failure, message } };
    }
  };
  return {
    name,
    register: () => df.app.activity(name, { handler, extraInputs: [df.input.durableClient()] }),
  };
}
