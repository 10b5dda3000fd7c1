import type { SnapshotInfo } from '../../azure/index.ts';
import { type Installation, OWNER_TAG } from '../../installation/index.ts';
import type { Flag } from '../../model/index.ts';
import { openMetadata, type SnapshotMetadata } from './metadata.ts';
import {
  DISK_TAG,
  EXPIRES_TAG,
  FLAGS_TAG,
  joinTags,
  lowerCaseNames,
  MACHINE_TAG,
  MANUAL_TAG,
  readFlags,
  SESSION_TAG,
  SET_TAG,
} from './tags.ts';

/** `policy`: counts for a schedule. `temporary`: a backup was read from it, and no schedule keeps it. `manual`: a person's. */
export type SnapshotOrigin = 'policy' | 'temporary' | 'manual';

/** A snapshot of one disk, as a member of its set. */
export interface SetMember {
  readonly id: string;
  /** Number of the disk in the set; null when its tag is gone. */
  readonly disk: number | null;
  readonly familyId: string | null;
  readonly sizeBytes: number | null;
  readonly takenAt: string | null;
  readonly sku: string | null;
  /** What keeps it from being read, for a person; null: nothing does. */
  readonly problem: string | null;
  /** Azure made it, and it failed. */
  readonly failed: boolean;
}

/** The snapshots of all disks of a machine at one time, as their tags tell. */
export interface SnapshotSet {
  /** `<session>-<set>`: what people name it by. */
  readonly name: string;
  readonly sessionId: string;
  readonly machineId: string;
  readonly subscriptionId: string;
  readonly origin: SnapshotOrigin;
  readonly flags: readonly Flag[];
  /** ISO 8601: of the earliest snapshot; null while Azure tells none. */
  readonly takenAt: string | null;
  /** Of a manual one: when it may go. */
  readonly expiresAt: string | null;
  readonly members: readonly SetMember[];
  /** What the set says of itself; null when it cannot be read, and `obstacle` says why. */
  readonly metadata: SnapshotMetadata | null;
  /** `partsMissing`: snapshots of the set are gone, and parts of the metadata with them. `otherKey`: sealed by another key. */
  readonly obstacle: 'partsMissing' | 'otherKey' | null;
  /** Numbers of disks that the set should have and has not. */
  readonly missingDisks: readonly number[];
}

export interface SetScope {
  /** Default: every subscription that the installation protects. */
  readonly subscriptionIds?: readonly string[];
  readonly machineId?: string;
}

/**
 * The sets of snapshots that this installation made, newest first, found by their tags alone: nothing else has to be
 * remembered of them. Snapshots without our owner tag, or with another installation's, are not looked at.
 */
export async function listSets(installation: Installation, scope: SetScope = {}): Promise<SnapshotSet[]> {
  const { azure, settings } = installation;
  const { id: owner, key } = await installation.identity();
  const found = new Map<string, SnapshotInfo[]>();
  const pageBlobs = await knownPageBlobs(installation);
  for (const subscriptionId of scope.subscriptionIds ?? settings.HOLDFAST_SUBSCRIPTION_IDS) {
    for await (const info of azure.snapshots.list({
      subscriptionId,
      tag: { name: OWNER_TAG, value: owner },
      pageBlobs,
    })) {
      const tags = lowerCaseNames(info.tags);
      const session = tags[SESSION_TAG];
      if (session === undefined) continue;
      if (scope.machineId !== undefined && tags[MACHINE_TAG] !== scope.machineId) continue;
      const name = `${session}-${tags[SET_TAG] ?? '0'}`;
      found.set(name, [...(found.get(name) ?? []), info]);
    }
  }
  return [...found]
    .map(([name, infos]) => describeSet(name, infos, key))
    .sort((a, b) => ((a.takenAt ?? a.name) < (b.takenAt ?? b.name) ? 1 : -1));
}

/** Unmanaged disks that the newest points were made of: of a machine that is gone nothing else tells. */
async function knownPageBlobs({ catalog }: Installation): Promise<string[]> {
  const bases = (await catalog.chains.list()).flatMap((chain) => Object.values(chain.bases));
  const urls = bases.flatMap(({ snapshotId }) => /^(https:.*)#[^#]+$/.exec(snapshotId)?.[1] ?? []);
  return [...new Set(urls)];
}

function describeSet(name: string, infos: readonly SnapshotInfo[], key: Buffer): SnapshotSet {
  const tagsOf = infos.map(({ tags }) => lowerCaseNames(tags));
  const first = (tag: string): string | null =>
    tagsOf.map((tags) => tags[tag]).find((value) => value !== undefined) ?? null;
  const sessionId = first(SESSION_TAG) ?? '';
  const members = infos.map(memberOf).sort((a, b) => (a.disk ?? -1) - (b.disk ?? -1));
  const { metadata, obstacle } = open(infos, sessionId, key);
  const flags = readFlags(first(FLAGS_TAG) ?? undefined);
  const manual = first(MANUAL_TAG) === 'true';
  const times = members.flatMap(({ takenAt }) => (takenAt === null ? [] : [takenAt]));
  const there = new Set(members.map(({ disk }) => disk));
  return {
    name,
    sessionId,
    machineId: first(MACHINE_TAG) ?? '',
    subscriptionId: infos[0]?.subscriptionId ?? '',
    origin: manual ? 'manual' : flags.length > 0 ? 'policy' : 'temporary',
    flags,
    takenAt: times.length === 0 ? null : times.reduce((a, b) => (a < b ? a : b)),
    expiresAt: first(EXPIRES_TAG),
    members,
    metadata,
    obstacle,
    missingDisks: (metadata?.disks ?? []).map(({ number }) => number).filter((number) => !there.has(number)),
  };
}

function open(
  infos: readonly SnapshotInfo[],
  sessionId: string,
  key: Buffer,
): Pick<SnapshotSet, 'metadata' | 'obstacle'> {
  const sealed = joinTags(infos.map(({ tags }) => tags));
  if (sealed === null) return { metadata: null, obstacle: 'partsMissing' };
  try {
    return { metadata: openMetadata(sealed, sessionId, key), obstacle: null };
  } catch {
    return { metadata: null, obstacle: 'otherKey' };
  }
}

function memberOf(info: SnapshotInfo): SetMember {
  const { id, familyId, sizeBytes, sku, timeCreated, notDownloadable, provisioningState } = info;
  const disk = Number.parseInt(lowerCaseNames(info.tags)[DISK_TAG] ?? '', 10);
  return {
    id,
    disk: Number.isNaN(disk) ? null : disk,
    familyId,
    sizeBytes,
    takenAt: timeCreated,
    sku,
    problem: notDownloadable?.why ?? null,
    failed: provisioningState === 'Failed',
  };
}
