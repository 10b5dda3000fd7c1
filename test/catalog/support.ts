import type { Clock, Session } from '../../lib/model/index.ts';
import { sessionId } from '../../lib/model/index.ts';

/** A clock that moves when the test says so. */
export class TestClock implements Clock {
  #now: number;

  constructor(start = '2026-11-21T10:00:00Z') {
    this.#now = Date.parse(start);
  }

  now(): Date {
    return new Date(this.#now);
  }

  sleep(ms: number): Promise<void> {
    this.pass(ms);
    return Promise.resolve();
  }

  pass(ms: number): void {
    this.#now += ms;
  }
}

export const MACHINE = '11111111-2222-3333-4444-555555555555';

export const sessionAt = (clock: Clock, over: Partial<Session> = {}): Session => {
  const at = clock.now().toISOString();
  return {
    id: sessionId(clock.now(), at),
    kind: 'backup',
    status: 'running',
    phase: 'starting',
    instanceId: 'instance',
    parentId: null,
    policyId: null,
    machineId: MACHINE,
    machineName: 'vm',
    reason: 'request',
    startedAt: at,
    touchedAt: at,
    endedAt: null,
    cancelRequested: false,
    restorePoint: null,
    disks: [],
    warnings: [],
    notes: [],
    phases: [],
    waits: [],
    throttling: [],
    error: null,
    ...over,
  };
};

/** `count` different session ids, in order. */
export const sessionIds = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => sessionId(new Date(1_800_000_000_000 + n), `s${n}`));
