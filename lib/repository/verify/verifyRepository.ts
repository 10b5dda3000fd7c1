import { type Clock, HoldfastError } from '../../model/index.ts';
import { openChain } from '../chain.ts';
import { chainIds, checkOpenRepository } from '../check.ts';
import { CheckReport, type Finding, type GarbageObject } from '../checkReport.ts';
import { packsPrefix } from '../names.ts';
import type { Repository } from '../repository.ts';
import { type DamagedPoint, markDamage } from './markDamage.ts';
import { readVerified, writeVerified } from './record.ts';
import { type RememberedStates, type VerifyBudget, verifyRolling } from './rolling.ts';

export interface VerifyRepository {
  /**
   * `structure`: documents, manifests, states, maps and pack indexes are authentic and fit, and every pack is there (by
   * listing). `content`: besides, every block decrypts, expands and has its digest. `rolling`: the content of the packs that
   * were not verified for longest, within `budget`, and the structure once a round.
   */
  readonly depth: 'structure' | 'content' | 'rolling';
  readonly clock: Clock;
  /** Of `rolling`; without one, all of it. */
  readonly budget?: VerifyBudget | undefined;
  /** Of `rolling`: leave out what was verified within so many milliseconds. */
  readonly freshMs?: number | undefined;
  readonly remembered?: RememberedStates | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPack?: ((name: string) => void) | undefined;
}

export interface VerifyResult {
  readonly findings: readonly Finding[];
  /** The points that cannot be read whole, as their states now say. */
  readonly damaged: readonly DamagedPoint[];
  /** Later generations of packs that are damaged: for `healChain`. */
  readonly spoiled: readonly string[];
  /** Empty where only a part was looked at. */
  readonly garbage: readonly GarbageObject[];
  readonly packs: number;
  readonly blocks: number;
  /** False: the budget was spent before everything was verified. */
  readonly complete: boolean;
}

/**
 * Verifies a repository, and records what it finds: the state of each restore point says what cannot be read of it, and the
 * verification record of each chain what was covered. It writes nothing else, deletes nothing, and needs no ownership:
 * marks are facts, and the same whoever writes them. May be called again at any time, also by two at once.
 */
export async function verifyRepository(
  repository: Repository,
  request: VerifyRepository,
): Promise<VerifyResult> {
  const { depth, clock, signal, budget = {}, freshMs, remembered, onPack } = request;
  if (depth === 'rolling') {
    const result = await verifyRolling(repository, { clock, budget, freshMs, remembered, signal, onPack });
    return { ...result, garbage: [] };
  }
  if (request.budget !== undefined) {
    throw new HoldfastError('invalidInput', `A budget goes with rolling verification, not with ${depth}.`, {
      target: 'budget',
    });
  }
  const started = clock.now();
  const report = new CheckReport();
  const chains = await chainIds(repository.meta, signal);
  await checkOpenRepository(repository, depth, report, { chains, signal });
  const objects = report.result().findings.map(({ object }) => object);
  const damaged: DamagedPoint[] = [];
  const spoiled: string[] = [];
  for (const id of chains) {
    const chain = await report.guard(() => openChain(repository, id));
    if (!chain) continue;
    const own = objects.filter((object) => object.startsWith(`chains/${id}/`));
    const known = await remembered?.(id);
    const marked = await markDamage(chain, own, { now: clock.now(), remembered: known, signal });
    damaged.push(...marked.damaged);
    spoiled.push(...marked.spoiled);
    for (const { object, problem, points } of marked.findings)
      if (points.length > 0) report.found(object, problem, points);
    if (depth === 'content') await recordWhole(repository, id, started, signal);
  }
  return { ...report.result(), damaged, spoiled, complete: true };
}

/** All packs of a chain were verified since `at`. */
async function recordWhole(
  repository: Repository,
  id: string,
  at: Date,
  signal?: AbortSignal,
): Promise<void> {
  const report = new CheckReport();
  const chain = await openChain(repository, id);
  const before = await report.guard(() => readVerified(chain, signal));
  if (report.damaged > 0) return;
  let upTo: string | null = null;
  for await (const { name, lastModified } of repository.data.list(packsPrefix(id), { signal })) {
    // What was written meanwhile was perhaps not looked at.
    if (lastModified < at) upTo = name;
  }
  if (upTo !== null)
    await writeVerified(chain, { cursor: null, marks: [{ upTo, at: at.toISOString() }] }, before, signal);
}
