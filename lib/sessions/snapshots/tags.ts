import { checkTags, MAX_TAG_VALUE, MAX_TAGS, type Tags } from '../../azure/index.ts';
import { OWNER_TAG } from '../../installation/index.ts';
import { FLAGS, type Flag, flagLetters, HoldfastError } from '../../model/index.ts';

/**
 * What our snapshots carry in their tags: who owns them, what they are of, and sealed facts about the machine, split over
 * the tags of the set (snapshots/metadata.ts). With the catalog lost, the snapshots still say what they are, to us alone.
 */
export const SESSION_TAG = 'holdfast-session';
export const MACHINE_TAG = 'holdfast-machine';
export const SET_TAG = 'holdfast-set';
export const DISK_TAG = 'holdfast-disk';
export const PARTS_TAG = 'holdfast-parts';
const PART_PREFIX = 'holdfast-m';
/** Letters of the schedules that a snapshot counts for, as `flagLetters` writes them; absent: none. */
export const FLAGS_TAG = 'holdfast-flags';
/** `true` on snapshots that a person asked for: outside chains and retention, never a base. */
export const MANUAL_TAG = 'holdfast-manual';
/** ISO time after which a manual snapshot may be removed; absent: it stays until a person removes it. */
export const EXPIRES_TAG = 'holdfast-expires';
/** Names that begin so are ours; nobody else's tag is copied under one. */
const OUR_PREFIX = 'holdfast-';
/** Names that begin so cannot be written by us. */
const AZURES_PREFIX = /^(microsoft|azure|windows)/i;

export interface DiskToTag {
  /** Its number in the set. */
  readonly number: number;
  readonly name: string;
  /** Tags of the disk itself, when they are to be copied. */
  readonly copied: Tags;
}

export interface TagPlan {
  readonly owner: string;
  readonly sessionId: string;
  readonly setId: string;
  readonly machineId: string;
  readonly sealed: string;
  /** The disks of the set, in ascending order of their numbers. */
  readonly disks: readonly DiskToTag[];
  /** What the policy, or the person who asked, wants on every snapshot; they win over copied ones. */
  readonly custom?: Tags;
  readonly flags?: readonly Flag[];
  readonly manual?: boolean;
  /** Of a manual set. */
  readonly expiresAt?: string | null;
}

/**
 * The tags of each disk's snapshot, by disk number. The parts of the sealed facts go round the disks that have room, so that
 * all fill up evenly.
 *
 * @throws `tagLimit` before anything is created, when a snapshot would carry more than Azure allows, or a tag that it
 * refuses; `resource` names the machine in it
 */
export function planTags(plan: TagPlan, resource: string): Map<number, Record<string, string>> {
  const parts = plan.sealed.match(new RegExp(`.{1,${MAX_TAG_VALUE}}`, 'g')) ?? [];
  const tags = new Map(plan.disks.map((disk) => [disk.number, wholeTags(plan, disk, parts.length)]));
  for (const disk of plan.disks) checkRoom(disk, tags.get(disk.number) ?? {}, plan, resource);
  const room = (disk: DiskToTag) => MAX_TAGS - Object.keys(tags.get(disk.number) ?? {}).length;
  const total = plan.disks.reduce((sum, disk) => sum + room(disk), 0);
  if (parts.length > total) {
    throw new HoldfastError(
      'tagLimit',
      `The configuration of ${resource} needs ${parts.length} tags, and its ${plan.disks.length} snapshots have room for ${total}: ` +
        `a resource has at most ${MAX_TAGS}. Shorten the tags or extensions of the VM, or copy fewer tags to its snapshots.`,
      { target: resource },
    );
  }
  for (let part = 0; part < parts.length; ) {
    for (const disk of plan.disks) {
      if (part === parts.length || room(disk) === 0) continue;
      const of = tags.get(disk.number);
      if (of) of[partName(part)] = parts[part] ?? '';
      part++;
    }
  }
  for (const { number, name } of plan.disks)
    checkTags(tags.get(number) ?? {}, `snapshot of disk ${name} of ${resource}`);
  return tags;
}

const partName = (part: number): string => `${PART_PREFIX}${String(part).padStart(3, '0')}`;

/** Everything but the sealed parts. */
function wholeTags(plan: TagPlan, disk: DiskToTag, parts: number): Record<string, string> {
  const { flags = [], manual = false, expiresAt = null, custom = {} } = plan;
  const tags: Record<string, string> = {
    [OWNER_TAG]: plan.owner,
    [SESSION_TAG]: plan.sessionId,
    [MACHINE_TAG]: plan.machineId,
    [SET_TAG]: plan.setId,
    [DISK_TAG]: String(disk.number),
    [PARTS_TAG]: String(parts),
    ...(flags.length > 0 ? { [FLAGS_TAG]: flagLetters(flags) } : {}),
    ...(manual ? { [MANUAL_TAG]: 'true' } : {}),
    ...(expiresAt === null ? {} : { [EXPIRES_TAG]: expiresAt }),
  };
  const taken = new Set(Object.keys(tags).map((name) => name.toLowerCase()));
  for (const [name, value] of [...Object.entries(custom), ...Object.entries(disk.copied)]) {
    const lower = name.toLowerCase();
    if (taken.has(lower) || lower.startsWith(OUR_PREFIX) || AZURES_PREFIX.test(name)) continue;
    taken.add(lower);
    tags[name] = value;
  }
  return tags;
}

function checkRoom(
  { name, copied }: DiskToTag,
  tags: Readonly<Record<string, string>>,
  { custom = {} }: TagPlan,
  resource: string,
): void {
  const count = Object.keys(tags).length;
  if (count <= MAX_TAGS) return;
  const ours = Object.keys(tags).filter((tag) => tag.startsWith(OUR_PREFIX)).length;
  throw new HoldfastError(
    'tagLimit',
    `The snapshot of disk ${name} of ${resource} would carry ${count} tags, and Azure allows ${MAX_TAGS}: ${ours} of Holdfast, ` +
      `${Object.keys(custom).length} of the policy, ${Object.keys(copied).length} copied from the disk. Remove tags, or do not copy those of the disks.`,
    { target: name },
  );
}

/** A snapshot's tags under lower-case names: Azure compares names so, and a policy of the cloud may have rewritten ours. */
export const lowerCaseNames = (tags: Tags): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(tags).map(([name, value]) => [name.toLowerCase(), value]));

/** Puts the sealed facts of a set together again; null while a part of them is missing. */
export function joinTags(tagsOfSet: readonly Tags[]): string | null {
  const all: Record<string, string> = Object.assign({}, ...tagsOfSet.map(lowerCaseNames));
  const count = Number(all[PARTS_TAG] ?? Number.NaN);
  if (!Number.isInteger(count)) return null;
  const parts = Array.from({ length: count }, (_, i) => all[partName(i)]);
  return parts.every((part) => part !== undefined) ? parts.join('') : null;
}

/** The flags that a snapshot carries. Letters that nobody knows say nothing. */
export const readFlags = (letters: string | undefined): Flag[] =>
  FLAGS.filter((flag) => (letters ?? '').includes(flagLetters([flag])));
