import { isHoldfastError } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { checkChain } from './checkChain.ts';
import { examineHere, type OpenExaminer } from './checkContent.ts';
import { type CheckDepth, CheckReport, type CheckResult } from './checkReport.ts';
import { corruptObject } from './damage.ts';
import { descriptorSchema, type Unlock } from './descriptor.ts';
import { authenticateDocument, readDocument } from './document.ts';
import { CHAINS, chainName, DESCRIPTOR, LEASES, OWNER, parsePointName, pointsPrefix } from './names.ts';
import { readOwner } from './owner.ts';
import { openRepository, type RememberedRepository, type Repository } from './repository.ts';

export interface CheckRepository {
  readonly meta: BlobStore;
  readonly data: BlobStore;
  readonly unlock: Unlock;
  readonly remembered?: RememberedRepository | undefined;
  readonly depth: CheckDepth;
  /** Who looks into packs at depth `content`; default: this thread. */
  readonly examiner?: OpenExaminer | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks a whole repository, from its objects alone. Memory grows with the number of objects, not with the disks. Damage is
 * reported, not thrown; `wrongPassword` and `repositoryMismatch` are thrown, as is everything that the stores fail with.
 */
export async function checkRepository(request: CheckRepository): Promise<CheckResult> {
  const { meta, depth, examiner, signal } = request;
  const report = new CheckReport();
  const chains = await chainIds(meta, signal);
  let repository: Repository;
  try {
    repository = await openRepository(request);
  } catch (error) {
    if (!isHoldfastError(error, 'corruptObject') && !isHoldfastError(error, 'missingObject')) throw error;
    const points: string[] = [];
    for (const chain of chains) points.push(...(await pointNames(meta, chain)));
    report.found(DESCRIPTOR, error.message, points);
    return report.result();
  }
  await checkOpenRepository(repository, depth, report, { chains, examiner, signal });
  return report.result();
}

/** The same of an open repository, into a report. */
export async function checkOpenRepository(
  repository: Repository,
  depth: CheckDepth,
  report: CheckReport,
  {
    chains,
    examiner = examineHere,
    signal,
  }: {
    chains?: ReadonlySet<string> | undefined;
    examiner?: OpenExaminer | undefined;
    signal?: AbortSignal | undefined;
  } = {},
): Promise<void> {
  const { meta, data } = repository;
  const all = chains ?? (await chainIds(meta, signal));
  await checkDocuments(repository, report, { chains: all, signal });
  for (const chain of all) {
    report.chains++;
    if ((await meta.stat(chainName(chain), { signal })) === null) {
      report.found(chainName(chain), 'is missing', await pointNames(meta, chain));
    } else await checkChain(repository, chain, { depth, examiner }, report, signal);
  }
  for await (const { name } of meta.list('', { signal })) {
    if (name !== DESCRIPTOR && name !== OWNER && !name.startsWith(CHAINS)) {
      report.unneeded(name, name.startsWith(LEASES) ? 'a lease' : 'not an object of a repository');
    }
  }
  for await (const { name } of data.list('', { signal })) {
    const chain = /^chains\/([^/]+)\//.exec(name)?.[1];
    if (chain === undefined || !all.has(chain)) report.unneeded(name, 'belongs to no chain');
  }
}

/** The descriptor, which was read before the repository could be opened, is still as it was; the owner is authentic. */
export async function checkDocuments(
  repository: Repository,
  report: CheckReport,
  { chains, signal }: { chains: Iterable<string>; signal?: AbortSignal | undefined },
): Promise<void> {
  const { meta, keys, id } = repository;
  const sound = await report.guard(async () => {
    const { bytes } = await meta.read(DESCRIPTOR, undefined, { signal });
    const descriptor = readDocument(DESCRIPTOR, bytes, descriptorSchema);
    authenticateDocument(keys.document, DESCRIPTOR, bytes);
    if (descriptor.id !== id) throw corruptObject(DESCRIPTOR, `it is of repository ${descriptor.id}`);
    return true;
  });
  for (const chain of sound ? [] : chains)
    for (const point of await pointNames(meta, chain)) report.affects(DESCRIPTOR, point);
  await report.guard(() => readOwner(repository));
}

/** Ids of all chains of which there is any object in meta. */
export async function chainIds(meta: BlobStore, signal?: AbortSignal): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const { name } of meta.list(CHAINS, { signal })) {
    const id = /^chains\/([^/]+)\//.exec(name)?.[1];
    if (id !== undefined) ids.add(id);
  }
  return ids;
}

async function pointNames(meta: BlobStore, chain: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of meta.list(pointsPrefix(chain))) {
    const point = parsePointName(name);
    if (point?.kind === 'manifest') names.push(`${chain}/${point.sequence}`);
  }
  return names;
}
