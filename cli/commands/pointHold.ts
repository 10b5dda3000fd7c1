import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { heldAnswer } from '../answers.ts';
import type { Context } from '../context.ts';
import { laterTime, pointName } from './options.ts';

interface HoldOptions {
  reason: string;
  by?: string;
  until?: string;
}

/** `point hold` and `point release`: a person's word that a restore point stays, whatever retention says. */
export function addHold(point: Command, context: Context): void {
  point
    .command('hold')
    .description('keep a restore point, whatever retention says')
    .argument('<restore point>', 'its name, <chain>/<sequence>', pointName)
    .requiredOption('--reason <text>', 'why; kept with the restore point')
    .option('--until <when>', 'the hold ends by itself: a time, or as in 12h, 30d', laterTime(context.clock))
    .option('--by <name>', 'who holds it (default: your user name)')
    .action(async (name: string, { reason, until, by = userInfo().username }: HoldOptions) => {
      const body = { reason, by, ...(until === undefined ? {} : { until }) };
      const { hold } = await context.api().post(`restorePoints/${name}/hold`, body, heldAnswer);
      context.stderr.write(`Restore point ${name} is held until ${hold?.until ?? 'it is released'}.\n`);
    });
  point
    .command('release')
    .description('let a held restore point go by its rules again')
    .argument('<restore point>', 'its name, <chain>/<sequence>', pointName)
    .action(async (name: string) => {
      await context.api().post(`restorePoints/${name}/release`, {}, heldAnswer);
      context.stderr.write(`Restore point ${name} is released.\n`);
    });
}
