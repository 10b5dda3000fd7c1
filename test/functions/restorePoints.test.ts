import { beforeAll, expect, test } from 'vitest';
import { pointAnswer } from '../../cli/answers.ts';
import { type Machine, protectionSchema } from '../../lib/model/index.ts';
import { holdPoint, requestBackup } from '../../lib/sessions/index.ts';
import { VirtualLab } from '../sessions/virtual/lab.ts';
import { openApi } from './api.ts';

/** The API of restore points over memory: what it says of each of them. */
let lab: VirtualLab;
let machine: Machine;
let call: Awaited<ReturnType<typeof openApi>>;
beforeAll(async () => {
  lab = await VirtualLab.start('2026-03-01T12:00:00Z');
  const made = lab.cloud.addMachine('one', 'westeurope', [1024 * 1024], {});
  ({ machine } = made);
  call = await openApi(lab, ['restorePoints']);
  for (let n = 1; n <= 4; n++) {
    made.disks[0]?.write(3, n);
    await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover: 'inline', retention: { keep: { daily: { points: 9 } } } }),
      flags: n === 3 ? [] : ['daily'],
      expiresAt: n === 3 ? '2026-06-01T00:00:00.000Z' : null,
      reason: 'test',
      policyId: null,
      parentId: null,
    });
    await lab.finish();
    await lab.passTo(new Date(lab.clock.now().getTime() + 3_600_000));
  }
});

test('each restore point says if it is full, ok, damaged or missing, held, to expire and immutable, newest first', async () => {
  const { points } = lab.installation.catalog;
  const [{ point }] = (await points.listMachine(machine.id)) as [
    Awaited<ReturnType<typeof points.listMachine>>[number],
  ];
  const { chainId } = point;
  await holdPoint(lab.installation, { chainId, sequence: 1 }, { by: 'ada', reason: 'audit', until: null });
  await points.markDamaged(chainId, 2, true);
  await points.markMissing(chainId, 3, true);
  await points.noteLock(chainId, 4, new Date('2026-04-01T00:00:00Z'));
  const free = { hold: null, expiresAt: null, immutableUntil: null };
  const expected = [
    {
      ...free,
      kind: 'incremental',
      state: 'ok',
      flags: ['daily'],
      immutableUntil: '2026-04-01T00:00:00.000Z',
    },
    { ...free, kind: 'incremental', state: 'missing', flags: [], expiresAt: '2026-06-01T00:00:00.000Z' },
    { ...free, kind: 'incremental', state: 'damaged', flags: ['daily'] },
    {
      ...free,
      kind: 'full',
      state: 'ok',
      flags: ['daily'],
      hold: { by: 'ada', reason: 'audit', until: null },
    },
  ];
  for (const path of ['restorePoints', `machines/${machine.id}/restorePoints`]) {
    const { body } = await call(`GET ${path}`);
    const { value } = body as { value: unknown[] };
    const answers = value.map((one) => pointAnswer.parse(one));
    expect(
      answers.map(({ kind, state, flags, hold, expiresAt, immutableUntil }) => ({
        kind,
        state,
        flags,
        hold,
        expiresAt,
        immutableUntil,
      })),
    ).toEqual(expected);
    expect(answers.map(({ disks }) => disks.map(({ sizeBytes }) => sizeBytes))).toEqual(
      Array.from({ length: 4 }, () => [1024 * 1024]),
    );
  }
});
