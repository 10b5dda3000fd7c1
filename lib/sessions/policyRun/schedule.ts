import type { SlotsOf } from '../../catalog/index.ts';
import type { Installation } from '../../installation/index.ts';
import { type Calendar, type Policy, toFailure } from '../../model/index.ts';
import { dueCalendarSlots } from '../../schedule/index.ts';
import { type SurveyedMachine, surveyMachines } from '../machines/survey.ts';
import type { Instances } from '../ports.ts';
import { calendarOf, isRegional, placed, regionName, wordFor } from './calendars.ts';
import type { RunSlot } from './owed.ts';
import { instanceOfSlot, requestPolicyRun } from './request.ts';

/** A slot that was claimed, and whose run has not begun for this long, is started again. */
const STALE_MS = 2 * 60_000;
/** How far back unfinished slots are looked for. */
const LOOK_BACK_MS = 24 * 3600_000;
/** A policy that is new, or enabled again, has its first slot in the minute in which it is seen, at the earliest. */
const MINUTE_MS = 60_000;
const DISABLED = 'disabled';

export interface ScheduleTick {
  readonly policies: number;
  readonly due: number;
  readonly started: number;
  /** Policies whose tick failed, with the reason; the others went on. */
  readonly failures: readonly string[];
}

/**
 * One tick of the scheduler: claims each due slot with a create-only row, then starts its run. The row, not the instance id,
 * makes a slot's run happen once. After downtime the newest slot runs, late, with the flags of all; the others are recorded as
 * missed. A calendar in the time of regions has slots of its own in each region in which the policy has machines.
 */
export async function tickSchedules(installation: Installation, instances: Instances): Promise<ScheduleTick> {
  const tick = { policies: 0, due: 0, started: 0, failures: [] as string[] };
  const survey = onceAsked(() => surveyMachines(installation));
  for (const { value: policy } of await installation.catalog.policies.list()) {
    const calendar = calendarOf(policy);
    if (calendar === null) continue;
    if (policy.enabled) tick.policies++;
    const attempt = async (what: string, act: () => Promise<void>): Promise<void> => {
      try {
        await act();
      } catch (error) {
        tick.failures.push(`${what}: ${toFailure(error).message}`);
      }
    };
    await attempt(`policy ${policy.id}`, async () => {
      if (!policy.enabled) return rest(installation, policy.id);
      const regions = isRegional(calendar) ? regionsOf(policy, (await survey()).machines) : [null];
      for (const region of regions) {
        await attempt(`policy ${policy.id}${region === null ? '' : ` in ${region}`}`, async () => {
          const of: SlotsOf = { policyId: policy.id, region };
          const { due, started } = await tickSlots(
            installation,
            instances,
            policy,
            of,
            placed(calendar, region),
          );
          tick.due += due;
          tick.started += started;
        });
      }
    });
  }
  return tick;
}

/** Where the machines of a policy are. */
function regionsOf({ id }: Policy, machines: readonly SurveyedMachine[]): string[] {
  const own = machines.filter(({ assignment }) => assignment?.policyId === id);
  return [...new Set(own.map(({ machine }) => regionName(machine.location)))].sort();
}

/** A disabled policy misses no slots: when it is enabled again, its slots count from then on. */
async function rest({ catalog, clock }: Installation, policyId: string): Promise<void> {
  for (const region of await catalog.slots.regions(policyId)) {
    const of: SlotsOf = { policyId, region };
    if ((await catalog.slots.looked(of))?.calendar !== DISABLED)
      await catalog.slots.look(of, clock.now(), DISABLED, { anew: true });
  }
}

async function tickSlots(
  installation: Installation,
  instances: Instances,
  policy: Policy,
  of: SlotsOf,
  calendar: Calendar,
): Promise<{ due: number; started: number }> {
  const { catalog, clock, telemetry } = installation;
  const now = clock.now();
  const since = await lookedUntil(installation, of, calendar, now);
  const { due, missed, unlisted, late } = dueCalendarSlots(calendar, since, now);
  let started = 0;
  if (due !== null) {
    for (const { at } of missed) {
      await catalog.slots.miss(of, at, due.at);
      telemetry.event('holdfast.slot.missed', {
        policyId: policy.id,
        slot: at.toISOString(),
        coalescedInto: due.at.toISOString(),
      });
    }
    const slot: RunSlot = { ...due, region: of.region, late: late || unlisted > 0 };
    const { claimed } = await catalog.slots.claim(of, due.at, {
      ...slot,
      instanceId: instanceOfSlot(policy.id, slot),
    });
    if (claimed) started += await startSlot(installation, instances, policy, slot);
    // Last: a tick that was cut off finds its slots again, and their rows.
    await catalog.slots.look(of, due.at, wordFor(calendar));
  }
  for (const row of await catalog.slots.stale(of, new Date(now.getTime() - LOOK_BACK_MS), STALE_MS)) {
    started += await startSlot(installation, instances, policy, { ...row, at: new Date(row.slot) });
  }
  return { due: due === null ? 0 : 1, started };
}

/** Slots up to here were looked at. An edited calendar begins now: what it says of yesterday was never promised. */
async function lookedUntil(
  { catalog }: Installation,
  of: SlotsOf,
  calendar: Calendar,
  now: Date,
): Promise<Date> {
  const looked = await catalog.slots.looked(of);
  const word = wordFor(calendar);
  if (looked?.calendar === word) return looked.since;
  const begin = new Date(now.getTime() - MINUTE_MS);
  const since = looked && looked.since > begin ? looked.since : begin;
  await catalog.slots.look(of, since, word, { anew: looked === null || looked.calendar === DISABLED });
  return since;
}

async function startSlot(
  installation: Installation,
  instances: Instances,
  policy: Policy,
  slot: RunSlot,
): Promise<number> {
  const of: SlotsOf = { policyId: policy.id, region: slot.region };
  await requestPolicyRun(installation, instances, policy, slot);
  await installation.catalog.slots.advance(of, slot.at, 'started');
  return 1;
}

/** Asked for by several, and done once. */
function onceAsked<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | null = null;
  return () => (asked ??= ask());
}
