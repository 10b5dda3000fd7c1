import type { Versioned } from '../../catalog/index.ts';
import type { Installation } from '../../installation/index.ts';
import { HoldfastError, isHoldfastError, type Policy } from '../../model/index.ts';
import { cancelSession } from '../ending/stop.ts';
import { type Difference, diffDocuments, mergePatch } from './diff.ts';
import { error, type Finding, isError, refuseErrors } from './findings.ts';
import { checkDocument } from './validate.ts';

type Stored = Versioned<Policy>;

/** Policies of one import. A table writes no more at once. */
const MAX_IMPORT = 100;
const ATTEMPTS = 5;

export async function findPolicy({ catalog }: Installation, id: string): Promise<Versioned<Policy>> {
  const found = await catalog.policies.get(id);
  if (found) return found;
  throw new HoldfastError('notFound', `There is no policy ${id}.`, { target: 'id' });
}

/**
 * Creates or replaces a policy. `ifMatch`: only that version; null: only if there is none.
 *
 * @throws `invalidInput` with the place of the first error; `preconditionFailed`; `alreadyExists`
 */
export async function putPolicy(
  installation: Installation,
  id: string,
  document: unknown,
  ifMatch?: string | null,
): Promise<Stored> {
  const policy = await acceptable(installation, id, document);
  if (typeof ifMatch === 'string') checkVersion(id, await installation.catalog.policies.get(id), ifMatch);
  return installation.catalog.policies.put(policy, ifMatch);
}

/** An etag that the table cannot even read is another version too. The write itself checks once more. */
function checkVersion(id: string, current: Versioned<Policy> | null, ifMatch: string | undefined): void {
  if (ifMatch === undefined || current?.etag === ifMatch) return;
  throw new HoldfastError(
    'preconditionFailed',
    `Policy ${id} is not the version that was asked for: somebody changed it. Read it again.`,
    { target: `policies/${id}` },
  );
}

/**
 * Changes a policy by a merge patch (RFC 7396): what the patch does not name stays, null takes back to what is usual.
 * `ifMatch`: only that version.
 */
export function patchPolicy(
  installation: Installation,
  id: string,
  patch: unknown,
  ifMatch?: string,
): Promise<Stored> {
  const patched = (policy: Policy) => acceptable(installation, id, mergePatch(policy, patch));
  return change(installation, id, patched, ifMatch);
}

/** Disabling always works. A policy that has become wrong since it was stored is not enabled: `invalidInput`. */
export function setPolicyEnabled(installation: Installation, id: string, enabled: boolean): Promise<Stored> {
  const changed = async (policy: Policy) =>
    enabled ? acceptable(installation, id, { ...policy, enabled }) : { ...policy, enabled };
  return change(installation, id, changed);
}

/** Applies a change to what the policy is now, again when somebody else was faster. */
async function change(
  installation: Installation,
  id: string,
  mutate: (policy: Policy) => Promise<Policy>,
  ifMatch?: string,
): Promise<Stored> {
  for (let attempt = 1; ; attempt++) {
    const { value, etag } = await findPolicy(installation, id);
    checkVersion(id, { value, etag }, ifMatch);
    const policy = await mutate(value);
    try {
      return await installation.catalog.policies.put(policy, ifMatch ?? etag);
    } catch (failure) {
      const again = ifMatch === undefined && attempt < ATTEMPTS;
      if (!again || !isHoldfastError(failure, 'preconditionFailed')) throw failure;
    }
  }
}

async function acceptable(installation: Installation, id: string, document: unknown): Promise<Policy> {
  const given = (document ?? {}) as { id?: unknown };
  if (typeof document === 'object' && given.id !== undefined && given.id !== id) {
    throw new HoldfastError(
      'invalidInput',
      `The document's id is ${JSON.stringify(given.id)}, the URL's is ${id}.`,
      {
        target: 'id',
      },
    );
  }
  const { policy, findings } = await checkDocument(
    installation,
    typeof document === 'object' && document !== null && !Array.isArray(document)
      ? { id, ...document }
      : document,
  );
  refuseErrors(findings);
  if (!policy) throw new HoldfastError('internal', 'A policy without errors could not be read.');
  return policy;
}

/**
 * Removes a policy. Its restore points stay as long as the rules that they carry say, its machines belong to whichever policy
 * comes next. `conflict` while it runs.
 */
export async function removePolicy(installation: Installation, id: string, ifMatch?: string): Promise<void> {
  checkVersion(id, await findPolicy(installation, id), ifMatch);
  const running = await runningOf(installation, id);
  if (running[0]) {
    throw new HoldfastError(
      'conflict',
      `Policy ${id} is running (session ${running[0].id}): stop it first, or wait for its end.`,
      { target: running[0].id },
    );
  }
  await installation.catalog.policies.remove(id, ifMatch);
}

/** Cancels the runs of a policy, and whatever its runs have started and still runs. Returns what was asked to stop. */
export async function stopPolicy(installation: Installation, id: string): Promise<readonly string[]> {
  await findPolicy(installation, id);
  const asked: string[] = [];
  for (const { id: sessionId } of await runningOf(installation, id)) {
    await cancelSession(installation, sessionId);
    asked.push(sessionId);
  }
  return asked;
}

/** Runs first, so that they start nothing more. */
async function runningOf({ catalog }: Installation, policyId: string) {
  const running = (await catalog.sessions.running()).filter(
    (session) => session.policyId === policyId && ['policyRun', 'backup', 'snapshot'].includes(session.kind),
  );
  return running.toSorted((a, b) => Number(b.kind === 'policyRun') - Number(a.kind === 'policyRun'));
}

/** `previousRunning`, with the session as target, while a run of the policy is under way. */
export async function refuseWhilePolicyRuns(installation: Installation, id: string): Promise<void> {
  const run = (await runningOf(installation, id)).find(({ kind }) => kind === 'policyRun');
  if (!run) return;
  throw new HoldfastError(
    'previousRunning',
    `Policy ${id} is running already, in session ${run.id}; wait for it, or stop it.`,
    { target: run.id },
  );
}

export interface ImportedPolicy {
  readonly id: string;
  readonly action: 'created' | 'replaced' | 'unchanged';
  /** Of one that replaces: what changes. */
  readonly differences: readonly Difference[];
}

export interface Import {
  readonly imported: readonly ImportedPolicy[];
  /** Paths begin with the place in the list. With an error among them nothing was written. */
  readonly findings: readonly Finding[];
}

/** Writes many policies, all or none. With `dryRun` says what that would do. */
export async function importPolicies(
  installation: Installation,
  documents: readonly unknown[],
  dryRun: boolean,
): Promise<Import> {
  const { policies, findings } = await readAll(installation, documents);
  if (findings.some(isError)) return { imported: [], findings };
  for (let attempt = 1; ; attempt++) {
    const writes: { policy: Policy; etag: string | null }[] = [];
    const imported: ImportedPolicy[] = [];
    for (const policy of policies) {
      const known = await installation.catalog.policies.get(policy.id);
      const differences = known ? diffDocuments(known.value, policy) : [];
      const action = !known ? 'created' : differences.length > 0 ? 'replaced' : 'unchanged';
      imported.push({ id: policy.id, action, differences });
      if (action !== 'unchanged') writes.push({ policy, etag: known?.etag ?? null });
    }
    if (dryRun) return { imported, findings };
    try {
      await installation.catalog.policies.putAll(writes);
      return { imported, findings };
    } catch (failure) {
      const raced =
        isHoldfastError(failure, 'preconditionFailed') || isHoldfastError(failure, 'alreadyExists');
      if (!raced || attempt === ATTEMPTS) throw failure;
    }
  }
}

async function readAll(installation: Installation, documents: readonly unknown[]) {
  const policies: Policy[] = [];
  const findings: Finding[] = [];
  if (documents.length > MAX_IMPORT)
    findings.push(
      error('', `${documents.length} policies at once; at most ${MAX_IMPORT} can be written together`),
    );
  for (const [index, document] of documents.entries()) {
    const { policy, findings: found } = await checkDocument(installation, document);
    findings.push(...found.map((one) => ({ ...one, path: `/${index}${one.path}` })));
    if (!policy) continue;
    if (policies.some(({ id }) => id === policy.id))
      findings.push(error(`/${index}/id`, `there are two policies named ${policy.id}`));
    policies.push(policy);
  }
  return { policies, findings };
}

/** What storing a document as a policy would change. `exists` is false where there is no such policy yet. */
export async function diffPolicy(
  installation: Installation,
  id: string,
  document: unknown,
): Promise<{ readonly exists: boolean; readonly differences: readonly Difference[] }> {
  const policy = await acceptable(installation, id, document);
  const known = await installation.catalog.policies.get(id);
  return { exists: known !== null, differences: diffDocuments(known?.value, policy) };
}
