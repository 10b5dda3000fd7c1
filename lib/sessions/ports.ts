/** Orchestrators that a session may run as. */
export type OrchestratorName =
  | 'tendSnapshots'
  | 'backUpMachine'
  | 'restoreDisks'
  | 'runPolicy'
  | 'applyRetention'
  | 'archiveMachine'
  | 'checkRepository'
  | 'collectGarbage'
  | 'rescanRepository'
  | 'removeData';

/** Durable instances, as sessions need them. */
export interface Instances {
  /** `running` also while pending or suspended; `ended` whatever the outcome; `missing` if never started, or purged. */
  state(instanceId: string): Promise<'running' | 'ended' | 'missing'>;
  /** Starts an instance. One that already runs under this id is left alone: starting twice is starting once. */
  start(orchestrator: OrchestratorName, instanceId: string, input: unknown): Promise<void>;
}
