import type { Engine } from '../../local/functions-host/engine.ts';
import type { ManualClock } from '../../local/functions-host/manualClock.ts';
import { terminalStatuses } from '../../local/functions-host/runtimeStatus.ts';
import { eventsOf, expectedOutput, named, type Sample } from './programs.ts';

/**
 * Runs one random program on a host that has loaded apps/program.ts, moving the clock to the next timer only
 * when nothing else is left to do, and compares what it returned with what the interpreter says. Throws when
 * they differ, and when the instance hangs: nothing runs, no timer is set, and it has not ended.
 * `pauses` says at which stops of the clock the instance is suspended and resumed; that must change nothing.
 */
export async function checkProgram(
  engine: Engine,
  clock: ManualClock,
  { program, pauses }: Sample,
  id: string,
): Promise<void> {
  const root = named(program, id);
  engine.startNew('program', JSON.stringify(root), { instanceId: id });
  if (pauses[0]) engine.suspend(id, '');
  for (const { name, value } of eventsOf(root)) engine.raise(id, name, JSON.stringify(value));
  for (let stop = 0; ; stop++) {
    await engine.whenIdle();
    if (pauses[stop]) {
      engine.suspend(id, '');
      await engine.whenIdle();
      engine.resume(id, '');
      await engine.whenIdle();
    }
    const row = engine.get(id);
    if (!row) throw new Error(`${id} is gone.`);
    if (terminalStatuses.includes(row.status)) break;
    const next = clock.next();
    if (!next) throw new Error(`${id} hangs: ${JSON.stringify(engine.history(row))}`);
    clock.advanceTo(next);
  }
  const row = engine.get(id);
  const expected = JSON.stringify(expectedOutput(root));
  // Through JSON once more: what the interpreter says goes the way that the result went.
  if (row?.status !== 'Completed' || row.output !== JSON.stringify(JSON.parse(expected))) {
    throw new Error(`${id} is ${row?.status ?? 'gone'}\n  with ${row?.output ?? ''}\n  not  ${expected}`);
  }
  engine.purge(id);
  engine.purgeBy({});
}
