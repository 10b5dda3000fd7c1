import type { Installation } from '../../installation/index.ts';
import { toFailure } from '../../model/index.ts';
import { healChain, openChain, type VerifyResult, verifyRepository } from '../../repository/index.ts';
import { rememberDamage, stateCounters } from '../damage.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { readState, repositoryOf, updateState } from '../state.ts';
import { findMissing } from './missing.ts';

/** How much of an activity's minute one look verifies. */
const SLICE_MS = 30_000;
/** Findings beyond this are counted, not listed. */
const LISTED = 20;
/** Damaged generations of packs that one session replaces; the next check finds the others. */
const SPOILED = 200;

/**
 * Verifies a slice of the repository: of `content` everything once, slice by slice; of `rolling` what was not looked at for
 * longest, within the session's time. Damage is marked at the points that it affects, shown as warnings, and told as events;
 * what newer points can give back is healed at the end.
 */
export async function checkSome(installation: Installation, sessionId: string): Promise<Looked<null>> {
  const session = await enterStep(installation, sessionId, 'check');
  const { clock } = installation;
  const { request } = await readState(installation, sessionId, 'check');
  const repository = await installation.repository(request.repository);
  const remembered = (chain: string) => stateCounters(installation, chain);
  const elapsed = clock.now().getTime() - Date.parse(session.startedAt);
  const result =
    request.depth === 'structure'
      ? await verifyRepository(repository, { depth: 'structure', clock, remembered })
      : await verifyRepository(repository, {
          depth: 'rolling',
          clock,
          remembered,
          budget: { ms: SLICE_MS },
          // All of it once: what this session has verified is fresh.
          ...(request.depth === 'content' ? { freshMs: elapsed } : {}),
        });
  await report(installation, sessionId, result);
  const over = request.depth === 'rolling' && elapsed + SLICE_MS >= request.budgetSeconds * 1000;
  if (!result.complete && !over) return notYet('what is not verified yet');
  await heal(installation, sessionId);
  await findMissing(installation, sessionId, repository);
  return seen(null);
}

async function report(
  installation: Installation,
  sessionId: string,
  { findings, damaged, spoiled }: VerifyResult,
): Promise<void> {
  const { findings: before } = await readState(installation, sessionId, 'check');
  for (const { chain, sequence, counter } of damaged)
    await installation.catalog.points.markDamaged(chain, sequence, true, counter ?? 0);
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
  const toHeal = new Set(damaged.map(({ chain }) => chain));
  for (const name of spoiled) toHeal.add(name.split('/')[1] ?? '');
  if (findings.length === 0 && toHeal.size === 0) return;
  await updateState(installation, sessionId, 'check', (state) => ({
    ...state,
    findings: state.findings + findings.length,
    toHeal: [...new Set([...state.toHeal, ...toHeal])],
    spoiled: [...new Set([...state.spoiled, ...spoiled])].slice(0, SPOILED),
  }));
}

/**
 * Gives older points back the blocks that newer ones have read again, and replaces damaged later generations of packs. Damage
 * that nothing heals yet stays marked.
 */
async function heal(installation: Installation, sessionId: string): Promise<void> {
  const repository = await installation.repository(await repositoryOf(installation, sessionId));
  const { toHeal, spoiled } = await readState(installation, sessionId, 'check');
  for (const id of toHeal) {
    try {
      const healed = await healChain(await openChain(repository, id), {
        now: installation.clock.now(),
        remembered: await stateCounters(installation, id),
        spoiled: spoiled.filter((name) => name.split('/')[1] === id),
      });
      await rememberDamage(installation, id, healed);
    } catch (error) {
      await warn(installation, sessionId, `Chain ${id} could not be healed: ${toFailure(error).message}`);
    }
  }
}
