/** The worker program with jobs of the test's making: what a job does is in its `table`. Times are those of the environment. */

import { isMainThread, workerData } from 'node:worker_threads';
import type { JobIo } from '../../lib/datapath/index.ts';
import { HoldfastError, type JobResult, type JobSpec } from '../../lib/model/index.ts';
import type { HeartbeatData } from '../../worker/heartbeatProtocol.ts';
import { runHeartbeatThread } from '../../worker/heartbeatThread.ts';
import { runProgram } from '../../worker/program.ts';

const done: JobResult = { kind: 'restore', writtenBytes: 1, blocks: 1 };
const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

const jobs: Record<string, (io: JobIo, spec: JobSpec) => Promise<JobResult>> = {
  quick: () => Promise.resolve(done),
  /** Holds the main thread, as a long synchronous call would. */
  block: async (io) => {
    await io.saveCheckpoint(null);
    io.progress({ doneBytes: 1, readBytes: 2, storedBytes: 3 });
    const end = performance.now() + 600;
    while (performance.now() < end);
    return done;
  },
  /** Never gets on, but stops when told to. */
  hang: (io) => aborted(io.signal),
  /** Never gets on, and does not listen. */
  deaf: () => new Promise(() => {}),
  checkpoint: async (io) => {
    await io.saveCheckpoint({ window: 1 });
    await io.saveCheckpoint({ window: 2, before: io.checkpoint });
    return done;
  },
  read: async (io, spec) => {
    const found = await io.data.read(spec.kind === 'restore' ? spec.targetDiskId : '');
    return { kind: 'restore', writtenBytes: found.bytes.length, blocks: io.attempt };
  },
  fail: () =>
    Promise.reject(new HoldfastError('unavailable', 'https://x.blob/y?sv=1&sig=topsecret did not answer')),
  broken: () => Promise.reject(new Error('a bug')),
};

const program = () =>
  runProgram({
    entry: new URL(import.meta.url),
    settings: {
      appUrl: process.env['HOLDFAST_APP_URL'] ?? '',
      audience: process.env['HOLDFAST_AUDIENCE'] ?? '',
      ...(JSON.parse(process.env['TEST_TIMES'] ?? '{}') as {
        heartbeatMs: number;
        claimMs: number;
        stallMs: number;
        graceMs: number;
        interruptMs: number;
      }),
    },
    // A failed job is followed by a pause, which is not tested here.
    clock: {
      now: () => new Date(),
      sleep: (_ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) reject(signal.reason as Error);
          else setTimeout(resolve, 20);
        }),
    },
    runJob: (spec, io) => {
      const job = spec.kind === 'restore' ? jobs[spec.table] : undefined;
      return job ? job(io, spec) : Promise.reject(new Error(`no script ${spec.kind}`));
    },
  });

if (isMainThread) await program();
else runHeartbeatThread(workerData as HeartbeatData);
