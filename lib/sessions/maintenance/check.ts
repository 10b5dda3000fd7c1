import type { Installation } from '../../installation/index.ts';
import { toFailure } from '../../model/index.ts';
import { healChain, openChain, type VerifyResult, verifyRepository } from '../../repository/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { readState, updateState } from '../state.ts';

/** How much of an activity's minute one look verifies. */
const SLICE_MS = 30_000;
/** Findings beyond this are counted, not listed. */
const LISTED = 20;

/**
 * Verifies a slice of the repository: of `content` everything once, slice by slice; of `rolling` what was not looked at for
 * longest, within the session's time. Damage is marked at the points that it affects, shown as warnings, and told as events;
 * what newer points can give back is healed at the end.
 */
export async function checkSome(installation: Installation, sessionId: string): Promise<Looked<null>> {
  const session = await enterStep(installation, sessionId, 'check');
  const { clock } = installation;
  const { request } = await readState(installation, sessionId, 'check');
  const repository = await installation.repository();
  const elapsed = clock.now().getTime() - Date.parse(session.startedAt);
  const result =
    request.depth === 'structure'
      ? await verifyRepository(repository, { depth: 'structure', clock })
      : await verifyRepository(repository, {
          depth: 'rolling',
          clock,
          budget: { ms: SLICE_MS },
          // All of it once: what this session has verified is fresh.
          ...(request.depth === 'content' ? { freshMs: elapsed } : {}),
        });
  await report(installation, sessionId, result);
  const over = request.depth === 'rolling' && elapsed + SLICE_MS >= request.budgetSeconds * 1000;
  if (!result.complete && !over) return notYet('what is not verified yet');
  await heal(installation, sessionId, result);
  return seen(null);
}

async function report(
  installation: Installation,
  sessionId: string,
  { findings, damaged }: VerifyResult,
): Promise<void> {
  const { findings: before } = await readState(installation, sessionId, 'check');
  for (const { chain, sequence } of damaged)
    await installation.catalog.points.markDamaged(chain, sequence, true);
  for (const [i, { object, problem, points }] of findings.entries()) {
    const affects =
      points.length === 0
        ? 'no restore point'
        : `restore points ${points.slice(0, 5).join(', ')}${points.length > 5 ? ', ...' : ''}`;
    if (before + i < LISTED)
      await warn(installation, sessionId, `${object}: ${problem}; affects ${affects}.`);
    installation.telemetry.event('holdfast.repository.damaged', {
      sessionId,
      object,
      problem,
      points: points.length,
    });
  }
  if (findings.length > 0) {
    await updateState(installation, sessionId, 'check', (state) => ({
      ...state,
      findings: state.findings + findings.length,
    }));
  }
}

/** Gives older points back the blocks that newer ones have read again. Damage that nothing heals yet stays marked. */
async function heal(installation: Installation, sessionId: string, { damaged }: VerifyResult): Promise<void> {
  const repository = await installation.repository();
  for (const id of new Set(damaged.map(({ chain }) => chain))) {
    try {
      const { healed } = await healChain(await openChain(repository, id), { now: installation.clock.now() });
      for (const sequence of healed) await installation.catalog.points.markDamaged(id, sequence, false);
    } catch (error) {
      await warn(installation, sessionId, `Chain ${id} could not be healed: ${toFailure(error).message}`);
    }
  }
}
