import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { azureTables } from '../../lib/catalog/azureTable.ts';
import { type Catalog, openCatalog } from '../../lib/catalog/catalog.ts';
import type { JobSpec } from '../../lib/model/index.ts';
import { JobQueue } from '../../lib/workers/jobQueue.ts';
import { type Azurite, startAzurite } from '../support/azurite.ts';
import { sessionAt, sessionIds, TestClock } from './support.ts';

const [SESSION = ''] = sessionIds(1);
const SNAPSHOT = '/subscriptions/s/resourceGroups/my group/providers/Microsoft.Compute/snapshots/ü%25#?';

describe('the catalog in Table Storage', () => {
  const clock = new TestClock();
  let azurite: Azurite;
  let catalog: Catalog;
  beforeAll(async () => {
    azurite = await startAzurite();
    const settings = { url: azurite.tableUrl('holdfastapp'), credential: azurite.credential() };
    catalog = openCatalog(azureTables(settings), clock);
  });
  afterAll(() => azurite?.stop());

  it('pages sessions by time, and finds the running ones', async () => {
    const made: string[] = [];
    for (let n = 0; n < 5; n++) {
      clock.pass(1000);
      const session = sessionAt(clock);
      expect(await catalog.sessions.create(session)).toBe(true);
      expect(await catalog.sessions.create(session)).toBe(false);
      made.unshift(session.id);
    }
    const first = await catalog.sessions.list({ limit: 3 });
    const second = await catalog.sessions.list({ limit: 3, after: first.next ?? '' });
    expect([...first.sessions, ...second.sessions].map(({ id }) => id)).toEqual(made);
    expect(second.next).toBeNull();
    await catalog.sessions.update(made[0] ?? '', (session) => ({ ...session, status: 'failed' }));
    expect((await catalog.sessions.running()).map(({ id }) => id)).toEqual(made.slice(1));
  });

  it('keeps names that a key may not have', async () => {
    await catalog.intents.write(SESSION, 'snapshot', SNAPSHOT);
    expect((await catalog.intents.list(SESSION, 'snapshot')).map(({ key }) => key)).toEqual([SNAPSHOT]);
    expect(await catalog.intents.list(SESSION, 'worker')).toEqual([]);
    expect(await catalog.intents.sessions()).toEqual([SESSION]);
    await catalog.intents.resolve(SESSION, 'snapshot', SNAPSHOT);
    expect(await catalog.intents.sessions()).toEqual([]);
  });

  it('of many that want the last place of a family at once, one gets it', async () => {
    const grant = (n: number) => ({ familyId: 'family', snapshotId: `${SNAPSHOT}${n}` });
    const holder = { sessionId: SESSION, purpose: 'read', until: '2026-11-21T12:00:00Z' };
    const answers = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => catalog.grants.acquire(grant(n), holder)),
    );
    expect(answers.filter(({ wait }) => !wait)).toHaveLength(5);
  });

  it('of many workers that claim at once each gets a job of its own', async () => {
    const queue = new JobQueue(catalog.jobs, clock);
    const spec: JobSpec = {
      kind: 'restore',
      chain: { id: '0123456789abcdef', blockBytes: 524_288 },
      disk: 0,
      sizeBytes: 512,
      table: 't',
      pageFrom: 0,
      pageTo: 1,
      targetDiskId: SNAPSHOT,
    };
    const ids = ['restore-0-0', 'restore-0-1', 'restore-0-2'];
    await queue.addJobs(
      'pool',
      SESSION,
      ids.map((id) => ({ id, spec })),
    );
    const place = { pool: 'pool', sessionId: SESSION };
    const claims = await Promise.all(['w1', 'w2', 'w3', 'w4'].map((owner) => queue.claim(owner, place)));
    expect(claims.flatMap((job) => (job ? [job.id] : [])).toSorted()).toEqual(ids);
  });
});
