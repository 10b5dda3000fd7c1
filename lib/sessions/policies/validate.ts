import type { Installation } from '../../installation/index.ts';
import type { Policy } from '../../model/index.ts';
import { assignMachines, emptyNames, judgeMachine } from '../../scope/index.ts';
import { surveyMachines } from '../machines/survey.ts';
import { type Finding, isError, readPolicy, warning } from './findings.ts';
import { checkPolicy } from './rules.ts';

/** What a policy would mean, if it were stored now. */
export interface PolicyEffect {
  readonly inScope: number;
  readonly excluded: number;
  /** Machines that would belong to it. */
  readonly owned: number;
  /** Of those: machines that belong to another policy now, by its id. */
  readonly takes: Readonly<Record<string, number>>;
  /** In scope, but belonging to another policy, by its id. */
  readonly ownedByOthers: Readonly<Record<string, number>>;
}

export interface Validation {
  readonly valid: boolean;
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** With everything that was left out filled in; null when it cannot be read. */
  readonly policy: Policy | null;
  /** Null when it cannot be read. */
  readonly machines: PolicyEffect | null;
}

/** Errors and warnings of a document without looking at machines, and the policy that it is; null when it cannot be read. */
export async function checkDocument(
  installation: Installation,
  document: unknown,
): Promise<{ readonly policy: Policy | null; readonly findings: readonly Finding[] }> {
  const { policy, findings } = readPolicy(document);
  if (!policy) return { policy, findings };
  const repositories = (await installation.repositoryPlaces()).map(({ id }) => id);
  return { policy, findings: checkPolicy(policy, repositories, installation.clock.now()) };
}

/** Everything that can be said of a document before it is stored: structure, meaning, and which machines it names. */
export async function validatePolicy(installation: Installation, document: unknown): Promise<Validation> {
  const { policy, findings } = await checkDocument(installation, document);
  const { machines, found } = policy
    ? await tryScope(installation, policy)
    : { machines: null, found: [] as Finding[] };
  const all = [...findings, ...found];
  return {
    valid: !all.some(isError),
    errors: all.filter(isError),
    warnings: all.filter((finding) => !isError(finding)),
    policy,
    machines,
  };
}

async function tryScope(
  installation: Installation,
  policy: Policy,
): Promise<{ machines: PolicyEffect; found: Finding[] }> {
  const survey = await surveyMachines(installation, [policy.scope]);
  const machines = survey.machines.map(({ machine }) => machine);
  const { places } = survey;
  const verdicts = machines.map((machine) => judgeMachine(policy.scope, machine, places).verdict);
  const others = survey.policies.filter(({ id }) => id !== policy.id);
  const then = assignMachines([...others, policy], machines, places, policy.id);
  const inScope = survey.machines.filter((_, index) => verdicts[index] === 'in');
  const owner = (id: string): string => then.get(id)?.policyId ?? policy.id;
  const own = inScope.filter(({ machine }) => owner(machine.id) === policy.id);
  const from = own.flatMap(({ assignment }) =>
    assignment && assignment.policyId !== policy.id ? [assignment.policyId] : [],
  );
  const effect: PolicyEffect = {
    inScope: inScope.length,
    excluded: verdicts.filter((verdict) => verdict === 'excluded').length,
    owned: own.length,
    takes: countEach(from),
    ownedByOthers: countEach(
      inScope.map(({ machine }) => owner(machine.id)).filter((id) => id !== policy.id),
    ),
  };
  const found = [
    ...survey.troubles.map(({ message }) => warning('/scope', message)),
    ...emptyNames(policy.scope, machines, places).map(({ path, what }) =>
      warning(path, `${what}: no machine answers to it`),
    ),
    ...(inScope.length === 0 ? [warning('/scope', 'it matches no machine now')] : []),
    ...(inScope.length > 0 && own.length === 0
      ? [warning('/priority', 'every machine in its scope belongs to a policy that comes first')]
      : []),
  ];
  return { machines: effect, found };
}

const countEach = (ids: readonly string[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(ids, (id) => id)].map(([id, all]) => [id, all.length]));
