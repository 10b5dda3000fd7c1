import { openChain } from '../chain.ts';
import { CheckReport, type Finding } from '../checkReport.ts';
import { protectionOf } from '../keySlots/protection.ts';
import { CHAINS, chainName, parsePointName, pointsPrefix } from '../names.ts';
import { readOwner } from '../owner.ts';
import { type Repository, rememberRepository } from '../repository.ts';
import type { CatalogWriter, MachineFact } from './catalogWriter.ts';
import { compareWithRemembered, type RememberedChain, type RolledBack } from './rolledBack.ts';
import { scanChain } from './scanChain.ts';

export interface Rescan {
  readonly writer: CatalogWriter;
  /** What is known of the chains; empty for a repository that is adopted. */
  readonly remembered?: readonly RememberedChain[] | undefined;
  /** Ids of chains whose older state the operator accepts; `owner` accepts an older `owner` document. */
  readonly accept?: readonly string[] | undefined;
  /** Counter of the `owner` document that is remembered. */
  readonly ownerCounter?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RescanResult {
  readonly chains: number;
  readonly points: number;
  /** Objects that are damaged or missing, with the points that they cost. What they belong to may be incomplete. */
  readonly findings: readonly Finding[];
  /** What is older than remembered. Without `accepted`, nothing of these chains was written. */
  readonly rolledBack: readonly RolledBack[];
  /** True: no damage, and nothing was held back. */
  readonly complete: boolean;
  /** What the repository's mode protects against, for people. */
  readonly protection: string;
}

/**
 * Rebuilds what the service works from out of the objects alone, as facts for `writer`. Damage and rollbacks are reported,
 * not thrown, and cost only the chain (or the point) that they are in. May be called again, and after a crash. Throws what the
 * stores fail with, and what the writer throws.
 */
export async function rescan(repository: Repository, request: Rescan): Promise<RescanResult> {
  const { writer, signal } = request;
  const report = new CheckReport();
  const accept = new Set(request.accept);
  const remembered = new Map(request.remembered?.map((one) => [one.chain, one]));
  const rolledBack: RolledBack[] = [];
  const machines = new Map<string, { machine: MachineFact['machine']; founded: string[] }>();
  let points = 0;
  await checkOwner(repository, request, report, rolledBack, accept);
  await writer.repository(rememberRepository(repository));
  const ids = await chainIds(repository, signal);
  for (const id of ids) {
    const known = remembered.get(id);
    const chain = await report.guard(() => openChain(repository, id));
    if (!chain) {
      for (const point of await decidedPoints(repository, id)) report.affects(chainName(id), point);
      continue;
    }
    const problem = known ? await compareWithRemembered(chain, known) : null;
    const accepted = accept.has(id);
    if (problem !== null) {
      rolledBack.push({ chain: id, remembered: known?.head ?? null, problem, accepted });
      if (!accepted) continue;
    }
    const floor = problem === null ? (known?.head ?? null) : null;
    points += (await scanChain(chain, floor, writer, report, signal)).points;
    report.chains++;
    const machine = machines.get(chain.machine.id) ?? { machine: chain.machine, founded: [] };
    machine.founded.push(`${chain.createdAt} ${id}`);
    machines.set(chain.machine.id, machine);
  }
  for (const { machine, founded } of machines.values()) {
    const chains = founded.sort().map((entry) => entry.split(' ')[1] ?? '');
    await writer.machine({ machine, chains });
  }
  for (const known of remembered.values()) {
    if (ids.has(known.chain)) continue;
    const accepted = accept.has(known.chain);
    const problem = 'nothing of the chain is left: the repository is an older copy, or the chain was deleted';
    rolledBack.push({ chain: known.chain, remembered: known.head, problem, accepted });
    if (accepted) await writer.lost(known.chain);
  }
  const { findings, chains } = report.result();
  return {
    chains,
    points,
    findings,
    rolledBack,
    complete: findings.length === 0 && rolledBack.every(({ accepted }) => accepted),
    protection: protectionOf(repository.mode),
  };
}

async function checkOwner(
  repository: Repository,
  { ownerCounter }: Rescan,
  report: CheckReport,
  rolledBack: RolledBack[],
  accept: ReadonlySet<string>,
): Promise<void> {
  const before = report.damaged;
  const owner = await report.guard(() => readOwner(repository));
  if (ownerCounter === undefined || report.damaged > before) return;
  if ((owner?.counter ?? 0) >= ownerCounter) return;
  const problem = `the owner document went back from term ${ownerCounter} to ${owner?.counter ?? 'none'}: an installation that was taken over may run again`;
  rolledBack.push({ chain: 'owner', remembered: null, problem, accepted: accept.has('owner') });
}

/** Ids of all chains of which there is any object in either container. */
async function chainIds({ meta, data }: Repository, signal?: AbortSignal): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (const store of [meta, data]) {
    for await (const { name } of store.list(CHAINS, { signal })) {
      const id = /^chains\/([^/]+)\//.exec(name)?.[1];
      if (id !== undefined) ids.add(id);
    }
  }
  return ids;
}

/** The points that a chain costs which cannot be opened. */
async function decidedPoints({ meta }: Repository, chain: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of meta.list(pointsPrefix(chain))) {
    const point = parsePointName(name);
    if (point?.kind === 'manifest') names.push(`${chain}/${point.sequence}`);
  }
  return names;
}
