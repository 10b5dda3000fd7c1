import { type Disk, type DiskMatch, GiB, type Machine, type Protection } from '../model/index.ts';
import { hasTag, matchesGlob, refersTo, tagText } from './match.ts';

export interface LeftOutDisk {
  readonly disk: Disk;
  /** For a person: which rule left it out. */
  readonly why: string;
}

/** Which disks of a machine are backed up, in the order given, and which are not. Exclusions win. */
export function leaveOutDisks(
  { onlyDisks, excludeDisks }: Pick<Protection, 'onlyDisks' | 'excludeDisks'>,
  machine: Machine,
  disks: readonly Disk[],
): { readonly kept: readonly Disk[]; readonly leftOut: readonly LeftOutDisk[] } {
  const kept: Disk[] = [];
  const leftOut: LeftOutDisk[] = [];
  for (const disk of disks) {
    const rule = excludeDisks.find((match) => matchesDisk(match, machine, disk));
    const wanted = onlyDisks.length === 0 || onlyDisks.some((match) => matchesDisk(match, machine, disk));
    if (rule) leftOut.push({ disk, why: `excluded: ${diskMatchText(rule)}` });
    else if (!wanted)
      leftOut.push({ disk, why: `not among: ${onlyDisks.map((match) => diskMatchText(match)).join('; ')}` });
    else kept.push(disk);
  }
  return { kept, leftOut };
}

export function matchesDisk(match: DiskMatch, machine: Machine, disk: Disk): boolean {
  const { machine: reference, role, lun, name, tag, largerThanGiB } = match;
  return (
    (reference === undefined || refersTo(reference, machine)) &&
    (role === undefined || role === disk.role) &&
    (lun === undefined || lun === disk.lun) &&
    (name === undefined || matchesGlob(name, disk.name)) &&
    (tag === undefined || hasTag(tagsOf(disk), tag)) &&
    (largerThanGiB === undefined || disk.sizeBytes > largerThanGiB * GiB)
  );
}

const tagsOf = ({ configuration }: Disk): Record<string, string> =>
  (configuration['tags'] ?? {}) as Record<string, string>;

/** `data disks named *_temp, larger than 500 GiB`. */
export function diskMatchText({ machine, role, lun, name, tag, largerThanGiB }: DiskMatch): string {
  const kind = role === 'os' ? 'the OS disk' : role === 'data' ? 'data disks' : 'disks';
  const facts = [
    ...(machine === undefined ? [] : [`of ${machine}`]),
    ...(lun === undefined ? [] : [`at LUN ${lun}`]),
    ...(name === undefined ? [] : [`named ${name}`]),
    ...(tag === undefined ? [] : [`with tag ${tagText(tag)}`]),
    ...(largerThanGiB === undefined ? [] : [`larger than ${largerThanGiB} GiB`]),
  ];
  return [kind, facts.join(', ')].filter(Boolean).join(' ');
}
