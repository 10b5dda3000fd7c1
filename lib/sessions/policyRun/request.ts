import type { Installation } from '../../installation/index.ts';
import { FLAGS, type Flag, sessionId as newSessionId, type Policy, type Session } from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { startSession } from '../requests.ts';
import type { RunSlot } from './owed.ts';

/** Starts a run of a policy, for a slot of its schedule, or on request. The same slot asks for the same session. */
export function requestPolicyRun(
  installation: Installation,
  instances: Instances,
  policy: Policy,
  slot: RunSlot | null,
): Promise<Session> {
  const usual = usualFlags(policy);
  return startSession(installation, instances, {
    id: slot === null ? newSessionId(installation.clock.now()) : sessionOfSlot(policy.id, slot),
    orchestrator: 'runPolicy',
    reason: slot === null ? 'request' : `schedule ${slot.at.toISOString()}${slot.late ? ', late' : ''}`,
    machine: null,
    parentId: null,
    policyId: policy.id,
    request: {
      kind: 'policyRun',
      policyId: policy.id,
      slot: slot?.at.toISOString() ?? null,
      region: slot?.region ?? null,
      late: slot?.late ?? false,
      makes: slot?.makes ?? 'backup',
      flags: [...(slot?.flags ?? usual)],
      backupFlags: [...(slot?.backupFlags ?? usual)],
    },
  });
}

/** Of a run that no schedule asked for: the most frequent flag for which the policy has a rule. */
function usualFlags({ retention }: Policy): Flag[] {
  return [FLAGS.find((flag) => retention.keep[flag] !== undefined) ?? 'daily'];
}

const sessionOfSlot = (policyId: string, { at, region }: Pick<RunSlot, 'at' | 'region'>): string =>
  newSessionId(at, `policy/${policyId}/${region ?? ''}/${at.toISOString()}`);

/** The durable instance that runs a slot. */
export const instanceOfSlot = (policyId: string, slot: Pick<RunSlot, 'at' | 'region'>): string =>
  `policyRun-${sessionOfSlot(policyId, slot)}`;
