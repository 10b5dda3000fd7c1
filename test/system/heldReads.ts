import type { Rig } from './rig.ts';
import { until } from './until.ts';

/** Ranged reads of a disk SAS; not the lists of its pages. */
const READS = '^/md-[^?]*\\?(?!.*comp=)';

/**
 * Holds reads of snapshot bytes: whoever reads is in the middle of a job, for as long as the test likes. `skip` reads pass
 * first. `met` resolves when one is held, and fails when none ever is, so that the fault is known to have fired.
 */
export async function holdReads(
  rig: Pick<Rig, 'admin'>,
  { skip = 0, times = 1 }: { skip?: number; times?: number } = {},
): Promise<{ met(count?: number): Promise<void>; fired(): Promise<number>; release(): Promise<void> }> {
  const { id } = await rig.admin.call('injectFault', {
    match: { method: 'GET', path: READS },
    effect: { kind: 'hold', when: 'before' },
    skip,
    times,
  });
  const fired = async () => (await rig.admin.call('listFaults')).find((fault) => fault.id === id)?.fired ?? 0;
  return {
    fired,
    met: async (count = 1) => {
      await until(`${count} held reads`, async () => (await fired()) >= count);
    },
    release: () => rig.admin.call('clearFaults', { id }),
  };
}

/** When reads of snapshot bytes arrived at the simulator: ms since 1970, in the order in which they were answered. */
export async function readsStarted(rig: Rig): Promise<number[]> {
  const requests = await rig.admin.call('requests', { surface: 'disk', method: 'GET', path: READS });
  return requests.map(({ time, milliseconds }) => Date.parse(time) - milliseconds);
}
