import type { JobResult, JobSpec } from '../model/index.ts';
import type { JobIo } from './jobIo.ts';
import { runMove } from './move.ts';
import { runPlan } from './plan.ts';
import { runRestore } from './restore.ts';

/** Runs a job of any kind. The same in a worker and inline. */
export function runJob(spec: JobSpec, io: JobIo): Promise<JobResult> {
  switch (spec.kind) {
    case 'plan':
      return runPlan(spec, io);
    case 'move':
      return runMove(spec, io);
    case 'restore':
      return runRestore(spec, io);
  }
}
