import type { Machine, Policy } from '../model/index.ts';
import { judgeMachine } from './judge.ts';
import type { Places } from './places.ts';

/** What decides to which policy a machine belongs. */
type RankedPolicy = Pick<Policy, 'id' | 'enabled' | 'priority' | 'scope' | 'sla'>;

export interface Assignment {
  readonly policyId: string;
  /** What in the policy's scope names the machine. */
  readonly why: string;
  /** Other enabled policies whose scope it is in, in their order. */
  readonly passedOver: readonly string[];
}

/** Those with an SLA first, then the smaller priority number, then the id that sorts first. */
function comparePolicies(
  a: Omit<RankedPolicy, 'scope' | 'enabled'>,
  b: Omit<RankedPolicy, 'scope' | 'enabled'>,
): number {
  if ((a.sla !== null) !== (b.sla !== null)) return a.sla === null ? 1 : -1;
  if (a.priority !== b.priority) return a.priority - b.priority;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/**
 * To which policy each machine belongs, by the machine's id; one that is in no enabled policy's scope is not in the answer.
 *
 * @param late a policy that takes, though disabled, what no enabled one has: one that was started by hand
 */
export function assignMachines(
  policies: readonly RankedPolicy[],
  machines: readonly Machine[],
  places: Places,
  late?: string,
): Map<string, Assignment> {
  const enabled = policies.filter((policy) => policy.enabled).toSorted(comparePolicies);
  const last = policies.filter((policy) => !policy.enabled && policy.id === late);
  const assigned = new Map<string, Assignment>();
  for (const machine of machines) {
    const [first, ...others] = [...enabled, ...last].flatMap(({ id, scope }) => {
      const { verdict, why } = judgeMachine(scope, machine, places);
      return verdict === 'in' ? [{ id, why }] : [];
    });
    if (first)
      assigned.set(machine.id, {
        policyId: first.id,
        why: first.why,
        passedOver: others.map(({ id }) => id),
      });
  }
  return assigned;
}
