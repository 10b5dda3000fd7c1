import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Jobs } from '../../lib/catalog/jobs.ts';
import { MemoryTable } from '../../lib/catalog/memoryTable.ts';
import {
  CLAIM_SECONDS,
  type Failure,
  type JobResult,
  type JobSpec,
  MAX_ATTEMPTS,
} from '../../lib/model/index.ts';
import { JobQueue } from '../../lib/workers/jobQueue.ts';
import { sessionIds, TestClock } from '../catalog/support.ts';

const [SESSION = '', OTHER = ''] = sessionIds(2);
const POOL = 'pool';
const place = { pool: POOL, sessionId: SESSION };
const nothing = { doneBytes: 0, readBytes: 0, storedBytes: 0 };
const broken: Failure = { code: 'unavailable', message: 'no answer', retryable: true };

const spec: JobSpec = {
  kind: 'restore',
  chain: { id: '0123456789abcdef', blockBytes: 524_288 },
  disk: 0,
  sizeBytes: 1_048_576,
  table: 'table',
  pageFrom: 0,
  pageTo: 1,
  targetDiskId: '/disk',
};
const result = (writtenBytes = 1): JobResult => ({ kind: 'restore', writtenBytes, blocks: 1 });

function open() {
  const clock = new TestClock();
  const table = new MemoryTable('jobs');
  return { clock, table, queue: new JobQueue(new Jobs(table), clock) };
}

async function withJobs(...ids: string[]) {
  const parts = open();
  await parts.queue.addJobs(
    POOL,
    SESSION,
    ids.map((id) => ({ id, spec })),
  );
  const of = (jobId: string, owner: string, attempt: number) => ({ ...place, jobId, owner, attempt });
  return { ...parts, of };
}

describe('jobs', () => {
  it('jobs are added once', async () => {
    const { queue } = await withJobs('restore-0-0');
    await queue.claim('w1', place);
    await queue.addJobs(POOL, SESSION, [
      { id: 'restore-0-0', spec },
      { id: 'restore-0-1', spec },
    ]);
    expect(await queue.status(POOL, SESSION)).toMatchObject({ open: 1, claimed: 1, ended: false });
  });

  it('a worker gets jobs of its session only', async () => {
    const { queue } = await withJobs('restore-0-0');
    expect(await queue.claim('w1', { pool: POOL, sessionId: OTHER })).toBeNull();
    expect(await queue.claim('w1', { pool: 'elsewhere', sessionId: SESSION })).toBeNull();
    expect(await queue.claim('w1', place)).toMatchObject({ id: 'restore-0-0', attempt: 1, owner: 'w1' });
  });

  it('of two workers that claim one shard at once, one gets it', async () => {
    const { queue } = await withJobs('move-0-0');
    const claims = await Promise.all(['w1', 'w2', 'w3'].map((owner) => queue.claim(owner, place)));
    expect(claims.filter((job) => job !== null)).toHaveLength(1);
  });

  it('two workers that claim at once from many shards both get one', async () => {
    const { queue } = await withJobs('move-0-0', 'move-0-1', 'move-0-2');
    const claims = await Promise.all(['w1', 'w2', 'w3'].map((owner) => queue.claim(owner, place)));
    expect(new Set(claims.map((job) => job?.id)).size).toBe(3);
  });

  it('a renewed claim lasts, a silent one goes to whoever asks, with the checkpoint', async () => {
    const { clock, queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    for (let n = 0; n < 10; n++) {
      clock.pass((CLAIM_SECONDS - 1) * 1000);
      const told = {
        progress: { ...nothing, doneBytes: n },
        ...(n === 3 ? { checkpoint: { window: 3 } } : {}),
      };
      expect((await queue.renew(of('move-0-0', 'w1', 1), told)).answer).toBe('ok');
    }
    expect(await queue.claim('w2', place)).toBeNull();
    clock.pass(CLAIM_SECONDS * 1000);
    expect((await queue.status(POOL, SESSION)).expired).toBe(1);
    const taken = await queue.claim('w2', place);
    expect(taken).toMatchObject({
      attempt: 2,
      owner: 'w2',
      checkpoint: { window: 3 },
      failures: [{ code: 'timeout', owner: 'w1' }],
    });
  });

  it('late answers of a lost attempt change nothing', async () => {
    const { clock, queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    clock.pass(CLAIM_SECONDS * 1000);
    await queue.claim('w2', place);
    const late = of('move-0-0', 'w1', 1);
    expect((await queue.renew(late, { progress: nothing, checkpoint: 'old' })).answer).toBe('gone');
    expect(await queue.complete(late, result(1))).toEqual({ gone: true });
    // Its failure is known already: the silence was one.
    expect(await queue.fail(late, broken)).toEqual({ gone: false });
    expect(await queue.status(POOL, SESSION)).toMatchObject({ claimed: 1, done: 0, open: 0 });
    expect(await queue.complete(of('move-0-0', 'w2', 2), result(2))).toEqual({ gone: false });
    expect((await queue.status(POOL, SESSION)).results.map((one) => one.result)).toEqual([result(2)]);
  });

  it('a claim that ran out and that nobody took may still complete', async () => {
    const { clock, queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    clock.pass(10 * CLAIM_SECONDS * 1000);
    expect(await queue.complete(of('move-0-0', 'w1', 1), result())).toEqual({ gone: false });
  });

  it('the first result wins, told again it is still the one', async () => {
    const { queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    const mine = of('move-0-0', 'w1', 1);
    expect(await queue.complete(mine, result(1))).toEqual({ gone: false });
    expect(await queue.complete(mine, result(1))).toEqual({ gone: false });
    expect(await queue.complete(of('move-0-0', 'w2', 1), result(2))).toEqual({ gone: true });
    expect(await queue.fail(mine, broken)).toEqual({ gone: true });
    expect((await queue.renew(mine, { progress: nothing })).answer).toBe('gone');
    expect((await queue.status(POOL, SESSION)).results).toHaveLength(1);
  });

  it('a result of another kind of job is refused', async () => {
    const { queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    const plan: JobResult = {
      kind: 'plan',
      plan: 'p',
      shards: [],
      plannedBytes: 0,
      allocatedBytes: 0,
      sampledBytes: 0,
      readReason: 'first',
    };
    await expect(queue.complete(of('move-0-0', 'w1', 1), plan)).rejects.toMatchObject({
      code: 'invalidInput',
    });
  });

  it('a failed job is open again until its fourth attempt, whatever the failure says, then poisoned with all reasons', async () => {
    const { queue, of } = await withJobs('move-0-0', 'move-0-1');
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      expect(await queue.claim(`w${attempt}`, place)).toMatchObject({ id: 'move-0-0', attempt });
      const failure: Failure = {
        code: 'internal',
        message: `reason ${attempt} sig=secret`,
        retryable: false,
      };
      const mine = of('move-0-0', `w${attempt}`, attempt);
      expect(await queue.fail(mine, failure)).toEqual({ gone: false });
      expect(await queue.fail(mine, failure)).toEqual({ gone: false });
    }
    expect(await queue.claim('w9', place)).toMatchObject({ id: 'move-0-1' });
    const { poisoned, failures } = await queue.status(POOL, SESSION);
    expect(poisoned).toBe(1);
    expect(failures[0]).toMatchObject({ code: 'jobPoisoned', target: 'move-0-0' });
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      expect(failures[0]?.message).toContain(
        `attempt ${attempt} on w${attempt}: internal: reason ${attempt}`,
      );
    }
    expect(failures[0]?.message).not.toContain('secret');
  });

  it('an attempt that could not begin counts for nothing, however often; one that somebody else has is left alone', async () => {
    const { queue, of } = await withJobs('move-0-0');
    for (let turn = 0; turn < 3 * MAX_ATTEMPTS; turn++) {
      expect(await queue.claim('w1', place)).toMatchObject({ id: 'move-0-0', attempt: 1 });
      await queue.putBack(of('move-0-0', 'w1', 1));
      await queue.putBack(of('move-0-0', 'w1', 1));
    }
    expect(await queue.status(POOL, SESSION)).toMatchObject({ poisoned: 0, failures: [] });
    expect(await queue.claim('w2', place)).toMatchObject({ id: 'move-0-0', attempt: 1 });
    await queue.putBack(of('move-0-0', 'w1', 1));
    expect(await queue.claim('w3', place)).toBeNull();
  });

  it('a job that kills every worker is poisoned without anybody telling', async () => {
    const { clock, queue } = await withJobs('move-0-0');
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      expect(await queue.claim(`w${attempt}`, place)).toMatchObject({ attempt });
      expect((await queue.status(POOL, SESSION)).poisoned).toBe(0);
      clock.pass(CLAIM_SECONDS * 1000);
    }
    expect(await queue.status(POOL, SESSION)).toMatchObject({ poisoned: 1, ended: true });
    expect(await queue.claim('w9', place)).toBeNull();
  });

  it('a worker that asks for work while it has a job has lost that job, at once', async () => {
    const { queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    expect(await queue.claim('w1', place)).toMatchObject({ attempt: 2, failures: [{ code: 'abandoned' }] });
    expect((await queue.renew(of('move-0-0', 'w1', 1), { progress: nothing })).answer).toBe('gone');
  });

  it('cancelled jobs are told to whoever is at them, and to nobody else', async () => {
    const { queue, of } = await withJobs('move-0-0', 'move-0-1', 'move-0-2');
    await queue.claim('w1', place);
    await queue.claim('w2', place);
    await queue.complete(of('move-0-1', 'w2', 1), result());
    await queue.cancelJobs(POOL, SESSION);
    await queue.cancelJobs(POOL, SESSION);
    expect((await queue.renew(of('move-0-0', 'w1', 1), { progress: nothing })).answer).toBe('cancel');
    expect(
      await queue.fail(of('move-0-0', 'w1', 1), { code: 'cancelled', message: '', retryable: false }),
    ).toEqual({ gone: false });
    expect(await queue.complete(of('move-0-0', 'w1', 1), result())).toEqual({ gone: true });
    expect(await queue.claim('w3', place)).toBeNull();
    expect(await queue.status(POOL, SESSION)).toMatchObject({ cancelled: 2, done: 1, ended: true });
  });

  it('a checkpoint that is too large is refused, and the claim stays', async () => {
    const { queue, of } = await withJobs('move-0-0');
    await queue.claim('w1', place);
    const mine = of('move-0-0', 'w1', 1);
    await expect(
      queue.renew(mine, { progress: nothing, checkpoint: 'x'.repeat(9000) }),
    ).rejects.toMatchObject({ code: 'invalidInput' });
    expect((await queue.renew(mine, { progress: nothing })).answer).toBe('ok');
  });

  it('jobs of a session that has ended are forgotten', async () => {
    const { queue } = await withJobs('move-0-0', 'move-0-1');
    await queue.removeJobs(POOL, SESSION);
    expect((await queue.status(POOL, SESSION)).jobs).toEqual([]);
  });

  it('a claim whose answer from the table was lost is not counted as a failure', async () => {
    const { queue, table } = await withJobs('move-0-0');
    const write = table.update.bind(table);
    let lost = 0;
    table.update = async (entity, etag) => {
      const written = await write(entity, etag);
      if (lost++ > 0) return written;
      // What the SDK does after a lost answer: it sends the same again, and that finds the first one's etag.
      return write(entity, etag);
    };
    expect(await queue.claim('w1', place)).toMatchObject({ attempt: 1, failures: [] });
    expect(lost).toBe(1);
  });
});

describe('jobs, in any order of events', () => {
  const event = fc.record({
    call: fc.constantFrom('claim', 'renew', 'complete', 'fail', 'wait', 'cancel'),
    owner: fc.constantFrom('w1', 'w2', 'w3'),
    attempt: fc.integer({ min: 1, max: MAX_ATTEMPTS + 1 }),
    seconds: fc.constantFrom(1, 60, CLAIM_SECONDS),
  });

  it('agree with a model of one job', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
        const { clock, queue, of } = await withJobs('move-0-0');
        const model = new ModelJob();
        const got: unknown[] = [];
        const wanted: unknown[] = [];
        for (const { call, owner, attempt, seconds } of events) {
          const who = of('move-0-0', owner, attempt);
          if (call === 'claim') {
            got.push((await queue.claim(owner, place))?.attempt ?? null);
            wanted.push(model.claim(owner));
          } else if (call === 'renew') {
            got.push((await queue.renew(who, { progress: nothing })).answer);
            wanted.push(model.renew(owner, attempt));
          } else if (call === 'complete') {
            got.push((await queue.complete(who, result())).gone);
            wanted.push(model.complete(owner, attempt));
          } else if (call === 'fail') {
            await queue.fail(who, broken);
            model.fail(owner, attempt);
          } else if (call === 'cancel') {
            await queue.cancelJobs(POOL, SESSION);
            model.cancel();
          } else {
            clock.pass(seconds * 1000);
            model.now += seconds;
          }
        }
        expect(got).toEqual(wanted);
        expect((await queue.status(POOL, SESSION)).jobs[0]?.state).toBe(model.final());
      }),
      { numRuns: 400 },
    );
  });

  it('interleaved at every table call: an attempt has one owner, and one result is accepted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 1, max: 3 }), async (scheduler, shards) => {
        const ids = Array.from({ length: shards }, (_, n) => `move-0-${n}`);
        const { clock, queue, table, of } = await withJobs(...ids);
        const read = table.get.bind(table);
        const write = table.update.bind(table);
        table.get = (...args) => scheduler.schedule(Promise.resolve()).then(() => read(...args));
        table.update = (...args) => scheduler.schedule(Promise.resolve()).then(() => write(...args));
        const given: string[] = [];
        const accepted: string[] = [];
        const worker = async (owner: string, slow: boolean) => {
          for (let n = 0; n < shards + 2; n++) {
            const job = await queue.claim(owner, place);
            if (!job) continue;
            given.push(`${job.id}/${job.attempt}`);
            if (slow) clock.pass(CLAIM_SECONDS * 1000);
            const { gone } = await queue.complete(of(job.id, owner, job.attempt), result());
            if (!gone) accepted.push(job.id);
          }
        };
        const all = Promise.all([worker('w1', false), worker('w2', true), worker('w3', false)]);
        await scheduler.waitFor(all);
        expect(new Set(given).size).toBe(given.length);
        expect(new Set(accepted).size).toBe(accepted.length);
        const { done, poisoned } = await queue.status(POOL, SESSION);
        expect(done).toBe(accepted.length);
        expect(done + poisoned).toBeLessThanOrEqual(shards);
      }),
      { numRuns: 60 },
    );
  });
});

/** One job, as one would explain it to somebody. Times in seconds. */
class ModelJob {
  now = 0;
  #state: 'open' | 'claimed' | 'done' | 'poisoned' | 'cancelled' = 'open';
  #owner = '';
  #attempt = 0;
  #until = 0;

  #mine(owner: string, attempt: number): boolean {
    return this.#owner === owner && this.#attempt === attempt;
  }

  #lose(): void {
    this.#state = this.#attempt >= MAX_ATTEMPTS ? 'poisoned' : 'open';
  }

  claim(owner: string): number | null {
    if (this.#state === 'claimed' && (this.now >= this.#until || this.#owner === owner)) this.#lose();
    if (this.#state !== 'open') return null;
    this.#state = 'claimed';
    this.#owner = owner;
    this.#until = this.now + CLAIM_SECONDS;
    return ++this.#attempt;
  }

  renew(owner: string, attempt: number): string {
    if (this.#state === 'cancelled' && this.#attempt === attempt) return 'cancel';
    if (this.#state !== 'claimed' || !this.#mine(owner, attempt)) return 'gone';
    this.#until = this.now + CLAIM_SECONDS;
    return 'ok';
  }

  complete(owner: string, attempt: number): boolean {
    if (this.#state === 'claimed' && this.#mine(owner, attempt)) this.#state = 'done';
    return !(this.#state === 'done' && this.#mine(owner, attempt));
  }

  fail(owner: string, attempt: number): void {
    if (this.#state === 'claimed' && this.#mine(owner, attempt)) this.#lose();
  }

  cancel(): void {
    if (this.#state === 'open' || this.#state === 'claimed') this.#state = 'cancelled';
  }

  final(): string {
    const last = this.#state === 'claimed' && this.now >= this.#until && this.#attempt >= MAX_ATTEMPTS;
    return last ? 'poisoned' : this.#state;
  }
}
