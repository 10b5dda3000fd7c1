import { expiryIn } from '../../chain/index.ts';
import { type Calendar, FLAGS, HoldfastError, type Policy, REGION_ZONE } from '../../model/index.ts';
import { checkCalendar, regionTimeZone, slaCalendar, slotsAfter } from '../../schedule/index.ts';
import { error, type Finding, warning } from './findings.ts';

/** Slots of a flag that are compared: so many, and of so many years. */
const SLOTS = 400;
const YEARS_MS = 6 * 366 * 24 * 3600_000;

/**
 * What the schema cannot see in a policy: errors of its calendar and of the repositories that it names, and warnings for what
 * is allowed and hardly meant. Looks at no machine.
 *
 * @param repositories names of the installation's repositories
 */
export function checkPolicy(policy: Policy, repositories: readonly string[], now: Date): Finding[] {
  const calendar = policy.calendar ?? (policy.sla ? slaCalendar(policy.sla) : null);
  const broken = calendar ? checkSchedules(policy, calendar) : [];
  return [
    ...broken,
    ...checkStorage(policy, repositories),
    ...checkScope(policy),
    ...(calendar === null
      ? [warning('', 'it has neither a calendar nor an SLA: it runs on request only')]
      : broken.length === 0
        ? checkRetention(policy, calendar, now)
        : []),
  ];
}

function checkSchedules(policy: Policy, calendar: Calendar): Finding[] {
  try {
    checkCalendar(calendar);
    return [];
  } catch (cause) {
    if (!(cause instanceof HoldfastError)) throw cause;
    return [error(placeOf(policy, cause.target ?? ''), cause.message)];
  }
}

/** `calendar.schedules[1].cron` as a pointer. An SLA's calendar begins with its interval. */
function placeOf({ calendar }: Policy, target: string): string {
  const path = `/${target.replaceAll(/\[(\d+)\]/g, '.$1').replaceAll('.', '/')}`;
  if (calendar) return path;
  const index = Number(/schedules\/(\d+)/.exec(path)?.[1] ?? 0);
  return index === 0 ? '/sla' : path.replace(/^\/calendar\/schedules\/\d+/, `/sla/schedules/${index - 1}`);
}

function checkStorage({ storage }: Policy, repositories: readonly string[]): Finding[] {
  const named: [path: string, id: string][] = [
    ['/storage/repository', storage.repository],
    ...Object.entries(storage.regions).map(([region, id]): [string, string] => [
      `/storage/regions/${region}`,
      id,
    ]),
    ...Object.entries(storage.flags).map(([flag, id]): [string, string] => [`/storage/flags/${flag}`, id]),
    ...storage.copies.map((id, index): [string, string] => [`/storage/copies/${index}`, id]),
  ];
  const unknown = named
    .filter(([, id]) => !repositories.includes(id))
    .map(([path, id]) =>
      error(path, `there is no repository ${id}; there is ${repositories.toSorted().join(', ')}`),
    );
  const twice = storage.copies.flatMap((id, index) =>
    id === storage.repository || storage.copies.indexOf(id) < index
      ? [error(`/storage/copies/${index}`, `repository ${id} would get the same restore point twice`)]
      : [],
  );
  const regions = Object.keys(storage.regions)
    .filter((region) => regionTimeZone(region) === null)
    .map((region) => warning(`/storage/regions/${region}`, unknownRegion(region)));
  return [...unknown, ...twice, ...regions];
}

const unknownRegion = (region: string): string => `${region} is no region that is known here`;

function checkScope({ scope, calendar, sla }: Policy): Finding[] {
  const { all, managementGroups, subscriptions, resourceGroups, tags, machines, conditions, exclude } = scope;
  const lists = [managementGroups, subscriptions, resourceGroups, tags, machines, conditions];
  const inRegionTime = (calendar ?? sla)?.timeZone === REGION_ZONE;
  return [
    ...(!all && lists.every(({ length }) => length === 0)
      ? [warning('/scope', 'it names nothing: no machine is in it')]
      : []),
    ...scope.regions.flatMap((region, index) =>
      regionTimeZone(region) === null
        ? [
            warning(
              `/scope/regions/${index}`,
              `${unknownRegion(region)}${inRegionTime ? ', nor its time zone, which the schedule needs' : ''}`,
            ),
          ]
        : [],
    ),
    ...exclude.machines.flatMap((reference, index) =>
      machines.some((one) => one.toLowerCase() === reference.toLowerCase())
        ? [
            warning(
              `/scope/exclude/machines/${index}`,
              `machine ${reference} is named, and excluded: it is out`,
            ),
          ]
        : [],
    ),
  ];
}

/** Flags that are made and not kept, kept and not made, or kept for less than the time to the next. */
function checkRetention({ retention, snapshots }: Policy, calendar: Calendar, now: Date): Finding[] {
  const findings: Finding[] = [];
  const placed = calendar.timeZone === REGION_ZONE ? { ...calendar, timeZone: 'UTC' } : calendar;
  const backups = calendar.schedules.some(({ makes }) => makes === 'backup');
  const [rules, path] = backups
    ? [retention, '/retention/keep']
    : [snapshots.retention, '/snapshots/retention/keep'];
  const thing = backups ? 'restore points' : 'snapshots';
  for (const flag of FLAGS) {
    const rule = rules.keep[flag];
    const schedules = calendar.schedules.filter(
      ({ makes, flags }) => (!backups || makes === 'backup') && flags.includes(flag),
    );
    if (schedules.length > 0 && !rule)
      findings.push(warning(`${path}/${flag}`, `${flag} ${thing} are made, and no rule keeps them as such`));
    if (schedules.length === 0 && rule)
      findings.push(warning(`${path}/${flag}`, `no schedule makes ${flag} ${thing}`));
    if (schedules.length === 0 || !rule || rule.points !== undefined) continue;
    const { points: _, ...time } = rule;
    const until = expiryIn(rules.timeZone);
    const short = gaps({ ...placed, schedules }, now).find(([from, to]) => until(from, time) < to);
    if (!short) continue;
    const [from, to] = short.map((at) => at.toISOString().slice(0, 10));
    findings.push(
      warning(`${path}/${flag}`, `shorter than the schedule: what is made on ${from} is over before ${to}`),
    );
  }
  return findings;
}

/** Pairs of slots that follow each other. */
function gaps(calendar: Calendar, now: Date): [Date, Date][] {
  const found: Date[] = [];
  for (const { at } of slotsAfter(calendar, now)) {
    found.push(at);
    if (found.length > SLOTS || at.getTime() - now.getTime() > YEARS_MS) break;
  }
  return found.slice(1).map((at, index) => [found[index] as Date, at]);
}
