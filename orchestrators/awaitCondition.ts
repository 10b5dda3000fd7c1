import type { OrchestrationContext } from 'durable-functions';
import type { ActivityInput, Look, LookName, Outcome } from '../activities/names.ts';
import { secondsUntil } from '../lib/model/index.ts';
import { type Steps, sleep } from './steps.ts';

export interface Condition {
  readonly activity: LookName;
  readonly input: ActivityInput<LookName>;
  readonly pollSeconds: number;
  /** How often it has looked, over all continuations. */
  readonly looks: number;
}

const LOOKS_PER_HISTORY = 50;
const GROWTH = 1.2;
const SLOWEST = 12;
const TROUBLES = 10;
/** A wait until a known moment is cut here: whoever cancels waits no longer, and a session that is silent for long counts as dead. */
const LONGEST_SECONDS = 120;

/**
 * Looks until an activity says `done`, ever more slowly: from `pollSeconds` up to twelve times that. Continues as new after
 * 50 looks, so that no history grows with the time waited. A look that fails for a passing reason is a look that saw
 * nothing, ten times in a row at most. A look that knows until when nothing happens is followed by a wait until then.
 */
export function* awaitCondition(context: OrchestrationContext): Steps<Outcome<unknown>> {
  const condition = context.df.getInput<Condition>();
  if (!condition) throw new Error('awaitCondition needs its condition as input');
  const { activity, input, pollSeconds } = condition;
  let troubles = 0;
  for (let looks = condition.looks; looks < condition.looks + LOOKS_PER_HISTORY; looks++) {
    const outcome = (yield context.df.callActivity(activity, input)) as Outcome<Look<unknown>>;
    if (outcome.ok && outcome.value.done) return { ok: true, value: outcome.value.value };
    troubles = outcome.ok ? 0 : troubles + 1;
    if (!outcome.ok && (!outcome.failure.retryable || troubles === TROUBLES)) return outcome;
    const usual = pollSeconds * Math.min(SLOWEST, GROWTH ** looks);
    yield* sleep(context, outcome.ok ? waitOf(context, outcome.value, usual) : usual);
  }
  context.df.continueAsNew({ ...condition, looks: condition.looks + LOOKS_PER_HISTORY });
  return { ok: true, value: null };
}

function waitOf(context: OrchestrationContext, look: Look<unknown>, usual: number): number {
  if (look.done || look.until === undefined) return usual;
  const left = secondsUntil(look.until, context.df.currentUtcDateTime);
  return Math.min(LONGEST_SECONDS, Math.max(usual, left));
}
