import { expect, it } from 'vitest';
import { type Machine, protectionSchema, restorePointName } from '../../lib/model/index.ts';
import { planRemoval, type RemovalAsked, requestBackup } from '../../lib/sessions/index.ts';
import { VirtualLab } from './virtual/lab.ts';

it('a removal takes the restore points that are named, and snapshots of the kind that is said', async () => {
  const lab = await VirtualLab.start('2026-03-01T12:00:00Z');
  const add = (name: string) => lab.cloud.addMachine(name, 'westeurope', [1024 * 1024], {}).machine;
  const [one, two] = [add('one'), add('two')];
  const backUp = async (machine: Machine, asked: object = {}) => {
    const session = await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover: 'inline' }),
      reason: 'test',
      policyId: null,
      parentId: null,
      ...asked,
    });
    await lab.finish();
    await lab.passTo(new Date(lab.clock.now().getTime() + 60_000));
    return lab.installation.catalog.sessions.get(session.id);
  };
  const first = await backUp(one);
  await backUp(one, { makes: 'snapshot', manual: true, flags: [] });
  const other = await backUp(two);
  // Read for a backup, and kept by no schedule.
  await backUp(one, { flags: [], backupFlags: ['daily'] });

  const plan = (asked: Partial<RemovalAsked>) =>
    planRemoval(lab.installation, {
      machineId: one.id,
      points: 'none',
      snapshots: 'none',
      before: lab.clock.now().toISOString(),
      ...asked,
    });
  const origins = async (snapshots: RemovalAsked['snapshots']) =>
    (await plan({ snapshots })).snapshots.map(({ origin, verdict }) => `${origin} ${verdict}`).sort();
  expect(await origins('none')).toEqual([]);
  expect(await origins('manual')).toEqual(['manual goes']);
  expect(await origins('policy')).toEqual(['policy goes', 'temporary goes']);
  expect(await origins('all')).toEqual(['manual goes', 'policy goes', 'temporary goes']);

  const nameOf = (session: typeof first) =>
    restorePointName(session?.restorePoint ?? { chainId: '', sequence: 0 });
  const names = async (points: RemovalAsked['points']) =>
    (await plan({ points })).points.map(({ name }) => name);
  expect(await names([nameOf(first)])).toEqual([nameOf(first)]);
  expect(await names('all')).toHaveLength(2);
  await expect(names([nameOf(other)])).rejects.toMatchObject({ code: 'notFound', target: nameOf(other) });
  // What comes meanwhile is not meant.
  expect(
    (await plan({ points: 'all', snapshots: 'all', before: '2026-03-01T11:59:00.000Z' })).points,
  ).toEqual([]);
});
