import type { Installation } from '../../installation/index.ts';
import type { Flag } from '../../model/index.ts';
import { planSets } from '../retention/snapshots.ts';
import { whoSpeaks } from '../retention/speaker.ts';
import { judgeSets } from './judge.ts';
import { ORPHAN_DAYS } from './request.ts';
import type { SetMember, SnapshotSet } from './sets.ts';
import { type Survey, surveySnapshots } from './world.ts';

/** A set of snapshots as the API shows it. */
export interface ShownSet {
  readonly name: string;
  readonly machineId: string;
  /** As it is called now, or as it was called then. */
  readonly machineName: string | null;
  readonly subscriptionId: string;
  /** `orphan`: its machine, or the policy that made it, is gone. */
  readonly kind: SnapshotSet['origin'] | 'orphan';
  readonly flags: readonly Flag[];
  readonly takenAt: string | null;
  readonly expiresAt: string | null;
  readonly sessionId: string;
  readonly policyId: string | null;
  /** Of the disks, in bytes. What the increments take is not told by Azure. */
  readonly diskBytes: number | null;
  readonly complete: boolean;
  /** The next incremental backup is read against it. */
  readonly base: boolean;
  /** Whether the next snapshot retention removes it. */
  readonly goes: boolean;
  /** Why it goes or stays; of sets that a policy's rules judge, what they say. */
  readonly why: string;
  readonly snapshots: readonly SetMember[];
}

/** Every set of snapshots that is ours, newest first, and what will become of it. */
export async function describeSets(
  installation: Installation,
): Promise<{ readonly shown: ShownSet; readonly set: SnapshotSet }[]> {
  const survey = await surveySnapshots(installation, ORPHAN_DAYS);
  const { sets, world, names } = survey;
  const ruled = await reasonsOfPolicies(installation, survey);
  return judgeSets(sets, world).map(({ set, goes, orphan, why }) => {
    const { name, machineId, subscriptionId, origin, flags, takenAt, expiresAt, sessionId, metadata } = set;
    const sizes = set.members.map(({ sizeBytes }) => sizeBytes);
    return {
      set,
      shown: {
        name,
        machineId,
        machineName: names.get(machineId) ?? metadata?.configuration.machine.name ?? null,
        subscriptionId,
        kind: orphan ? 'orphan' : origin,
        flags,
        takenAt,
        expiresAt,
        sessionId,
        policyId: metadata?.policyId ?? null,
        diskBytes: sizes.includes(null) ? null : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0),
        complete: set.obstacle === null && set.missingDisks.length === 0,
        base: set.members.some(({ id }) => world.bases.has(id.toLowerCase())),
        goes: goes !== null,
        why: (goes === null && !orphan && ruled.get(set.name)) || why,
        snapshots: set.members,
      },
    };
  });
}

/** What the rules of policies say of the sets that are theirs to judge, by the set's name: why its members stay, or are to go. */
async function reasonsOfPolicies(
  installation: Installation,
  { sets, world }: Survey,
): Promise<ReadonlyMap<string, string>> {
  const speaks = await whoSpeaks(installation);
  const settled = sets.filter(({ sessionId }) => !world.busySessions.has(sessionId));
  const reasons = new Map<string, Set<string>>();
  for (const [machineId, own] of Map.groupBy(settled, (set) => set.machineId)) {
    const policy = speaks(machineId);
    if (policy === null) continue;
    for (const { item, keep, why } of planSets(own, policy, world.bases, world.now)) {
      const known = reasons.get(item.setId) ?? new Set();
      reasons.set(item.setId, known.add(keep ? why : `goes with the next retention: ${why}`));
    }
  }
  return new Map([...reasons].map(([name, whys]) => [name, [...whys].join('; ')]));
}
