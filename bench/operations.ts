/**
 * The operations of Holdfast, each in a process of its own that is measured from outside: the jobs are the worker's own code with
 * the worker's own adapters; claim and commit are the app's.
 */

import { AzureBlobStore } from '../lib/azure/blobs.ts';
import { closeDiskConnections } from '../lib/azure/diskAccess.ts';
import { type JobIo, LaneExaminer, type Lanes, LaneThreads, runJob } from '../lib/datapath/index.ts';
import { chainIdFor, type JobSpec, type MoveResult, sessionId } from '../lib/model/index.ts';
import {
  type Chain,
  checkRepository,
  claimSequence,
  commitPoint,
  createChain,
  createRepository,
  encodeChainKeys,
  openChain,
  openPoint,
  openRepository,
  pagesOf,
  pageTableName,
  readManifest,
  writePageTable,
} from '../lib/repository/index.ts';
import { CONFIGURATION, MACHINE } from './benchMachine.ts';
import { openUrls, type Urls } from './places.ts';

export interface OperationRequest {
  readonly op: 'init' | 'full' | 'incremental' | 'restore' | 'verify';
  readonly blobUrl: string;
  readonly diskUrl: string;
  readonly sizeBytes: number;
  readonly compare: boolean;
  readonly blockBytes?: number;
  /** 0: everything in one thread. */
  readonly threads?: number;
}

const GiB = 1024 ** 3;
const START = new Date('2026-11-21T10:00:00Z');
const CHAIN = chainIdFor(sessionId(START, 'bench'), MACHINE);
const unlock = { password: 'correct horse battery staple' };

const request = JSON.parse(process.argv[2] ?? '{}') as OperationRequest;
const { op, sizeBytes } = request;
const containerUrl = (name: string) => `${request.blobUrl}/bench/${name}?sv=1&sr=c`;
const container = (name: string) => AzureBlobStore.withSas(containerUrl(name));
const results: unknown[] = [];
let threads: LaneThreads;

/** By URL, as a worker is given them. */
const urlsOf = (chain: Chain, urls: Partial<Urls> = {}): Urls => ({
  chain: chain.id,
  blockBytes: chain.blockBytes,
  sizeBytes,
  chainKey: encodeChainKeys(chain.keys),
  dataUrl: containerUrl('data'),
  stagingUrl: containerUrl('staging'),
  ...urls,
});

/** The threads, with what they are to open. */
const lanesWith = (given: Urls): Lanes =>
  threads.forJob({ current: () => given, renew: () => Promise.resolve(given) });

/** What a job is given. */
function io(chain: Chain, urls: Partial<Urls>): JobIo {
  const given = urlsOf(chain, urls);
  const { data, staging, source, sink } = openUrls(given);
  return {
    chainKey: encodeChainKeys(chain.keys),
    data,
    staging,
    ...(source ? { source, lists: source } : {}),
    ...(sink ? { sink } : {}),
    ...(request.threads === 0 ? {} : { lanes: lanesWith(given) }),
    attempt: 1,
    saveCheckpoint: () => Promise.resolve(),
    progress: () => undefined,
    signal: new AbortController().signal,
  };
}

async function job<K extends JobSpec['kind']>(spec: JobSpec & { kind: K }, with_: JobIo) {
  const result = await runJob(spec, with_);
  results.push(result);
  return result as Extract<Awaited<ReturnType<typeof runJob>>, { kind: K }>;
}

const stores = { meta: container('meta'), data: container('data') };
const staging = container('staging');
const open = async () => openChain(await openRepository({ ...stores, unlock }), CHAIN);

async function init(): Promise<void> {
  const repository = await createRepository({ ...stores, unlock, now: START });
  const machine = { id: MACHINE, armId: '/subscriptions/s/vm', name: 'vm' };
  const { blockBytes } = request;
  await createChain(repository, {
    id: CHAIN,
    machine,
    session: sessionId(START, 'bench'),
    createdAt: START.toISOString(),
    ...(blockBytes === undefined ? {} : { blockBytes }),
  });
}

async function table(chain: Chain, sequence: number, session: string): Promise<string> {
  const { map } = await (await openPoint(chain, sequence)).disk(0);
  const name = pageTableName(session, 0);
  await writePageTable(map, { staging, name, chain: chain.id, keys: chain.keys });
  return name;
}

async function backup(incremental: boolean): Promise<void> {
  const chain = await open();
  const session = sessionId(START, `${op}${Math.random()}`);
  const parent = incremental ? 1 : null;
  const claim = await claimSequence(chain, { installation: 'bench', session, epoch: 1, parent });
  const disk = `${request.diskUrl}/${incremental ? 'next' : 'first'}?sv=1`;
  const urls = { sourceUrl: disk, ...(incremental ? { baseUrl: `${request.diskUrl}/first?sv=1` } : {}) };
  const common = {
    chain: { id: chain.id, blockBytes: chain.blockBytes },
    sequence: claim.sequence,
    disk: 0,
    sizeBytes,
    snapshotId: `snapshot-${op}`,
  };
  const plan = await job(
    {
      kind: 'plan',
      ...common,
      baseSnapshotId: incremental ? 'snapshot-full' : null,
      readReason: incremental ? 'changedBlocks' : 'first',
      parentTable: parent === null ? null : await table(chain, parent, session),
      shardBytes: 4 * GiB,
    },
    io(chain, urls),
  );
  const shards: MoveResult[] = [];
  for (const { shard } of plan.shards) {
    shards.push(
      await job(
        { kind: 'move', ...common, plan: plan.plan, shard, compare: request.compare },
        io(chain, urls),
      ),
    );
  }
  await commitPoint(chain, {
    claim,
    policyId: null,
    takenAt: START,
    now: START,
    consistency: 'atomic',
    configuration: CONFIGURATION,
    retention: null,
    disks: [
      {
        uniqueId: 'bench',
        name: 'bench',
        role: 'os',
        lun: null,
        sizeBytes,
        sectorSize: 512,
        number: 0,
        snapshotId: common.snapshotId,
        snapshotFamilyId: 'bench',
        readReason: plan.readReason,
        sampledBytes: plan.sampledBytes,
        shards,
      },
    ],
  });
}

async function restore(): Promise<void> {
  const chain = await open();
  const sequence = (await readManifest(chain, 2)) ? 2 : 1;
  const { map } = await (await openPoint(chain, sequence)).disk(0);
  await job(
    {
      kind: 'restore',
      chain: { id: chain.id, blockBytes: chain.blockBytes },
      disk: 0,
      sizeBytes,
      table: await table(chain, sequence, sessionId(START, `restore${Math.random()}`)),
      pageFrom: 0,
      pageTo: pagesOf(map),
      targetDiskId: 'target',
    },
    io(chain, { targetUrl: `${request.diskUrl}/target?sv=1` }),
  );
}

async function verify(): Promise<void> {
  const { findings, ...counts } = await checkRepository({
    ...stores,
    unlock,
    depth: 'content',
    ...(request.threads === 0
      ? {}
      : { examiner: (chain) => new LaneExaminer(lanesWith(urlsOf(chain)), new AbortController().signal) }),
  });
  results.push(counts);
  if (findings.length > 0)
    throw new Error(`The check found ${findings.length}: ${JSON.stringify(findings[0])}`);
}

/** `entry`: the module that threads run. */
export async function runOperation(entry: URL): Promise<void> {
  threads = new LaneThreads(entry, request.threads);
  // Threads start while the repository is opened.
  if (op !== 'init' && request.threads !== 0) threads.start();
  if (op === 'init') await init();
  else if (op === 'restore') await restore();
  else if (op === 'verify') await verify();
  else await backup(op === 'incremental');
  process.send?.(results);
  await threads.close();
  await closeDiskConnections();
  process.disconnect?.();
}
