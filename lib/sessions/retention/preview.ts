import type { Installation } from '../../installation/index.ts';
import { flagLetters, restorePointName } from '../../model/index.ts';
import { planPoints } from './points.ts';
import { planSets, settledSets } from './snapshots.ts';
import { whoSpeaks } from './speaker.ts';

/** What retention would decide now of one thing. */
export interface RetentionPreview {
  readonly what: 'restorePoint' | 'snapshot';
  readonly name: string;
  readonly takenAt: string;
  /** Those that stay on, as letters. */
  readonly flags: string;
  readonly keep: boolean;
  readonly why: string;
  /** When time alone lets it go; null: something else than time keeps it, or it goes now. */
  readonly until: string | null;
}

/** What stays of a machine's restore points and snapshots now, and why. Newest first. Changes nothing. */
export async function previewRetention(
  installation: Installation,
  machineId: string,
): Promise<{ policyId: string | null; decisions: RetentionPreview[] }> {
  const policy = (await whoSpeaks(installation))(machineId);
  const decisions: RetentionPreview[] = [];
  for (const plan of await planPoints(installation, machineId, policy)) {
    for (const { item, keep, why, flags, until } of plan.decisions) {
      const { point } = item.row;
      decisions.push({
        what: 'restorePoint',
        name: restorePointName(point),
        takenAt: point.takenAt,
        flags: flagLetters(flags),
        keep,
        why,
        until: until?.toISOString() ?? null,
      });
    }
  }
  const sets = (await settledSets(installation, { machineId })).get(machineId) ?? [];
  const bases = await installation.catalog.chains.protectedSnapshots();
  for (const { item, keep, why, flags } of planSets(sets, policy, bases, installation.clock.now())) {
    const { id: name, takenAt } = item;
    decisions.push({ what: 'snapshot', name, takenAt, flags: flagLetters(flags), keep, why, until: null });
  }
  return { policyId: policy?.id ?? null, decisions };
}
