import type { Command } from 'commander';
import { type MachineAnswer, machineAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { type Column, duration, time } from '../output.ts';
import { choice } from './options.ts';

const age = ({ rpoSeconds }: MachineAnswer): string =>
  rpoSeconds === null ? '-' : duration(rpoSeconds * 1000);

export const MACHINES: readonly Column<MachineAnswer>[] = [
  { name: 'NAME', value: (machine) => machine.name },
  { name: 'POWER', value: (machine) => machine.powerState },
  { name: 'LOCATION', value: (machine) => machine.location },
  { name: 'RESOURCE GROUP', value: (machine) => machine.resourceGroup },
  { name: 'PROTECTED BY', value: (machine) => machine.protectedBy },
  { name: 'BECAUSE', value: (machine) => machine.protectedBecause },
  { name: 'COVERAGE', value: (machine) => machine.coverage },
  { name: 'AGE', value: (machine) => machine.rpoSeconds, show: age },
  {
    name: 'LAST RESTORE POINT',
    value: (machine) => machine.lastRestorePointAt,
    show: (machine) => time(machine.lastRestorePointAt),
  },
  { name: 'ID', value: (machine) => machine.id },
];

export function machineCommand(parent: Command, context: Context): void {
  const machine = parent.command('machine').description('the virtual machines that Holdfast sees');
  machine
    .command('list')
    .description('list the machines, the policy that each belongs to and why, and whether it is protected')
    .option('--policy <policy>', 'only those that belong to this policy')
    .addOption(choice('--state <state>', 'only those', ['protected', 'late', 'waiting', 'none']))
    .action(async (options: { policy?: string; state?: string }) => {
      const machines = await context.api().list('machines', machineAnswer, options);
      printList(context, MACHINES, machines, 'No machines: Holdfast may not read any, or there are none.');
    });
}
