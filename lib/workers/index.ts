/** The fleet of worker VMs and the jobs they do. See README.md beside this file. */
export { admission } from './admission.ts';
export { cloudInit } from './cloudInit.ts';
export { Fleet, type FleetEvent } from './fleet.ts';
export { type Attempt, JobQueue } from './jobQueue.ts';
export type { WorkerPool } from './pool.ts';
export type { QueueStatus } from './queueStatus.ts';
export type { WorkerMachine, WorkerMachines } from './workerMachines.ts';
export { entraIssuers, identify, TokenCheck } from './workerToken.ts';
