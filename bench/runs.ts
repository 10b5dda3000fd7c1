import { join } from 'node:path';
import { build } from 'esbuild';
import { bytesOf } from './diskLists.ts';
import type { Images } from './image.ts';
import { findLimit, type Limit } from './limit.ts';
import { describeMachine } from './machine.ts';
import { type Measured, measureModule, type Server, startServer } from './measure.ts';
import type { OperationRequest } from './operations.ts';
import { findPeer, type Op, type Peer, type PeerName } from './peers.ts';

export interface BenchRequest {
  readonly images: Images;
  /** A folder in memory for bundles and repositories. */
  readonly scratch: string;
  readonly peers: readonly PeerName[];
  readonly rounds: number;
  readonly blockBytes?: number;
}

/** Medians of one tool's operation. */
export interface Run {
  readonly tool: 'holdfast' | PeerName;
  readonly op: Op;
  readonly wallS: number;
  readonly cpuS: number;
  readonly rssMiB: number;
  /** Bytes that the repository grew by; 0 where nothing is stored. */
  readonly storedBytes: number;
  /** Holdfast only: whether each block was decoded and compared before its upload. */
  readonly compare?: boolean;
  /** Holdfast only: CPU of the two servers, which on Azure are elsewhere. */
  readonly serversCpuS?: number;
  /** Holdfast only. */
  readonly requests?: number;
}

export interface BenchReport {
  readonly machine: ReturnType<typeof describeMachine>;
  readonly images: { sizeBytes: number; allocatedBytes: number; changedBytes: number };
  readonly versions: Readonly<Record<string, string>>;
  readonly absent: readonly string[];
  readonly rounds: number;
  readonly runs: readonly Run[];
  /** `fraction`: of the limit that a full backup reached, with and without comparing. */
  readonly limit: Limit & { readonly fraction: number; readonly comparedFraction: number };
}

const OPS: readonly Op[] = ['full', 'incremental', 'restore', 'verify'];

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};

/** The program that is measured, bundled. Its threads load only what they run. */
async function bundle(scratch: string): Promise<string> {
  await build({
    entryPoints: [new URL('operation.ts', import.meta.url).pathname],
    outdir: scratch,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';var require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  return join(scratch, 'operation.mjs');
}

type Sample = Omit<Run, 'tool' | 'op'>;

/** Holdfast: a fresh repository each round; its servers are started anew, so that none is warmer than another. */
class Ours {
  readonly #program: string;
  readonly #request: BenchRequest;
  readonly #disk: Server;
  #blob: Server;

  private constructor(program: string, request: BenchRequest, disk: Server, blob: Server) {
    this.#program = program;
    this.#request = request;
    this.#disk = disk;
    this.#blob = blob;
  }

  static async start(request: BenchRequest): Promise<Ours> {
    const { images } = request;
    const data = JSON.stringify({ ...images, sizeBytes: images.lists.sizeBytes });
    const disk = await startServer(new URL('diskServer.ts', import.meta.url), data);
    return new Ours(await bundle(request.scratch), request, disk, await Ours.#sink(images));
  }

  /** With room for what compresses not at all. */
  static #sink({ lists }: Images): Promise<Server> {
    const bytes = bytesOf(lists.allocated.first) + bytesOf(lists.changed);
    return startServer(new URL('blobServer.ts', import.meta.url), String(bytes));
  }

  async fresh(): Promise<void> {
    this.#blob.stop();
    this.#blob = await Ours.#sink(this.#request.images);
    await this.run('init', true);
  }

  async run(op: OperationRequest['op'], compare: boolean): Promise<Sample> {
    const usage = async () => ({ disk: await this.#disk.usage(), blob: await this.#blob.usage() });
    const { images, blockBytes } = this.#request;
    const request: OperationRequest = {
      op,
      blobUrl: this.#blob.url,
      diskUrl: this.#disk.url,
      sizeBytes: images.lists.sizeBytes,
      compare,
      ...(blockBytes === undefined ? {} : { blockBytes }),
    };
    const before = await usage();
    const { wallS, cpuS, rssMiB } = await measureModule(this.#program, request);
    const after = await usage();
    const sum = (of: unknown): number =>
      Object.values(of as Record<string, number>).reduce((total, count) => total + count, 0);
    const requests = (at: typeof before) => sum(at.disk.requests) + sum(at.blob.requests);
    return {
      wallS,
      cpuS,
      rssMiB,
      storedBytes: Number(after.blob.stored) - Number(before.blob.stored),
      compare,
      serversCpuS: after.disk.cpuS + after.blob.cpuS - before.disk.cpuS - before.blob.cpuS,
      requests: requests(after) - requests(before),
    };
  }

  stop(): void {
    this.#disk.stop();
    this.#blob.stop();
  }
}

/** Reads the images once, so that nobody pays for the first reading. */
function warm({ first, next }: Images): void {
  for (const image of [first, next]) readWhole(image);
}

function readWhole(path: string): void {
  const { openSync, readSync, closeSync } = process.getBuiltinModule('node:fs');
  const file = openSync(path, 'r');
  const buffer = Buffer.allocUnsafe(4 * 1024 * 1024);
  while (readSync(file, buffer) > 0);
  closeSync(file);
}

async function peerRound(peer: Peer, keep: (op: Op, sample: Sample) => void): Promise<void> {
  await peer.prepare();
  for (const op of OPS) {
    const run = peer.ops[op];
    if (!run) continue;
    const before = peer.stored();
    const { wallS, cpuS, rssMiB }: Measured = await run();
    keep(op, { wallS, cpuS, rssMiB, storedBytes: Math.max(0, peer.stored() - before) });
  }
  peer.remove();
}

/** Everything in turn, round by round, so that a busy minute hits all alike. */
export async function runBench(request: BenchRequest): Promise<BenchReport> {
  const { images, scratch, rounds } = request;
  const found = request.peers.map((name) => findPeer(name, images, scratch));
  const peers = found.filter((peer) => typeof peer !== 'string');
  const absent = found.filter((peer) => typeof peer === 'string');
  for (const line of absent) console.error(line);
  const machine = describeMachine();
  warm(images);
  const ours = await Ours.start(request);
  const samples = new Map<string, { tool: Run['tool']; op: Op; samples: Sample[] }>();
  const keep = (tool: Run['tool'], op: Op, sample: Sample) => {
    const key = `${tool} ${op} ${sample.compare ?? ''}`;
    const entry = samples.get(key) ?? { tool, op, samples: [] };
    entry.samples.push(sample);
    samples.set(key, entry);
    const { wallS, cpuS, rssMiB, storedBytes } = sample;
    console.error(
      `${tool} ${op}${sample.compare === false ? ' (not compared)' : ''}: ${wallS.toFixed(2)} s, cpu ${cpuS.toFixed(2)} s, ${rssMiB.toFixed(0)} MiB, ${(storedBytes / 1e6).toFixed(0)} MB`,
    );
  };
  const limits: Limit[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      limits.push(await findLimit(images.first, images.inFile));
      await ours.fresh();
      keep('holdfast', 'full', await ours.run('full', false));
      await ours.fresh();
      for (const op of OPS) keep('holdfast', op, await ours.run(op, true));
      for (const peer of peers)
        await peerRound(peer, (op, sample) => keep(peer.name as PeerName, op, sample));
    }
  } finally {
    ours.stop();
  }
  const runs = [...samples.values()].map(({ tool, op, samples: of }): Run => {
    const middle = (pick: (sample: Sample) => number | undefined) => median(of.map((one) => pick(one) ?? 0));
    const compare = of[0]?.compare;
    return {
      tool,
      op,
      wallS: middle((one) => one.wallS),
      cpuS: middle((one) => one.cpuS),
      rssMiB: middle((one) => one.rssMiB),
      storedBytes: middle((one) => one.storedBytes),
      ...(compare === undefined
        ? {}
        : {
            compare,
            serversCpuS: middle((one) => one.serversCpuS),
            requests: middle((one) => one.requests),
          }),
    };
  });
  // What is compared by default comes first.
  runs.sort((a, b) => Number(a.compare === false) - Number(b.compare === false));
  const allocatedBytes = bytesOf(images.lists.allocated.first);
  const limit = {
    threads: limits[0]?.threads ?? 0,
    backupMBs: median(limits.map(({ backupMBs }) => backupMBs)),
    comparedMBs: median(limits.map(({ comparedMBs }) => comparedMBs)),
  };
  const full = (compare: boolean) => {
    const run = runs.find((one) => one.tool === 'holdfast' && one.op === 'full' && one.compare === compare);
    return allocatedBytes / 1e6 / (run?.wallS ?? Number.NaN);
  };
  return {
    machine,
    images: {
      sizeBytes: images.lists.sizeBytes,
      allocatedBytes,
      changedBytes: bytesOf(images.lists.changed),
    },
    versions: Object.fromEntries(peers.map(({ name, version }) => [name, version])),
    absent,
    rounds,
    runs,
    limit: {
      ...limit,
      fraction: full(false) / limit.backupMBs,
      comparedFraction: full(true) / limit.comparedMBs,
    },
  };
}
