import type { Installation } from '../../installation/index.ts';
import { type Policy, toFailure } from '../../model/index.ts';
import { dueCalendarSlots } from '../../schedule/index.ts';
import type { Instances } from '../ports.ts';
import { requestPolicyRun } from './run.ts';

/** A slot that was claimed, and whose run has not begun for this long, is started again. */
const STALE_MS = 2 * 60_000;
/** How far back unfinished slots are looked for. */
const LOOK_BACK_MS = 24 * 3600_000;

export interface ScheduleTick {
  readonly policies: number;
  readonly due: number;
  readonly started: number;
  /** Policies whose tick failed, with the reason; the others went on. */
  readonly failures: readonly string[];
}

/**
 * One tick of the scheduler: claims each due slot with a create-only row, then starts its run. The row, not the instance id,
 * makes a slot's run happen once. After downtime the newest slot runs, late; the others are recorded as missed.
 */
export async function tickSchedules(installation: Installation, instances: Instances): Promise<ScheduleTick> {
  const tick = { policies: 0, due: 0, started: 0, failures: [] as string[] };
  for (const { value: policy } of await installation.catalog.policies.list()) {
    if (!policy.enabled || policy.calendar === null) continue;
    tick.policies++;
    try {
      const { due, started } = await tickPolicy(installation, instances, policy, policy.calendar);
      tick.due += due;
      tick.started += started;
    } catch (error) {
      tick.failures.push(`policy ${policy.id}: ${toFailure(error).message}`);
    }
  }
  return tick;
}

async function tickPolicy(
  installation: Installation,
  instances: Instances,
  policy: Policy,
  calendar: NonNullable<Policy['calendar']>,
): Promise<{ due: number; started: number }> {
  const { catalog, clock, telemetry } = installation;
  const now = clock.now();
  // A policy that never had a slot starts with the next one, not with those before it was made.
  const since = (await catalog.slots.latest(policy.id)) ?? new Date(now.getTime() - 60_000);
  const { due: next, missed, late } = dueCalendarSlots(calendar, since, now);
  const due = next?.at ?? null;
  for (const { at: slot } of missed) {
    await catalog.slots.miss(policy.id, slot, due);
    telemetry.event('holdfast.slot.missed', {
      policyId: policy.id,
      slot: slot.toISOString(),
      coalescedInto: due?.toISOString() ?? null,
    });
  }
  let started = 0;
  if (due !== null) {
    const { claimed } = await catalog.slots.claim(policy.id, due, {
      instanceId: instanceOf(policy, due),
      late,
    });
    if (claimed) started += await startSlot(installation, instances, policy, due);
  }
  for (const { slot } of await catalog.slots.stale(
    policy.id,
    new Date(now.getTime() - LOOK_BACK_MS),
    STALE_MS,
  )) {
    started += await startSlot(installation, instances, policy, new Date(slot));
  }
  return { due: due === null ? 0 : 1, started };
}

async function startSlot(
  installation: Installation,
  instances: Instances,
  policy: Policy,
  slot: Date,
): Promise<number> {
  await requestPolicyRun(installation, instances, policy, slot);
  await installation.catalog.slots.advance(policy.id, slot, 'started');
  return 1;
}

const instanceOf = (policy: Policy, slot: Date): string => `policy-${policy.id}-${slot.getTime()}`;
