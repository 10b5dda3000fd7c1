import type { Command } from 'commander';
import { type MachineAnswer, machineAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { type Column, time } from '../output.ts';

const COLUMNS: readonly Column<MachineAnswer>[] = [
  { name: 'NAME', value: (machine) => machine.name },
  { name: 'POWER', value: (machine) => machine.powerState },
  { name: 'LOCATION', value: (machine) => machine.location },
  { name: 'RESOURCE GROUP', value: (machine) => machine.resourceGroup },
  { name: 'PROTECTED BY', value: (machine) => machine.protectedBy },
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
    .description('list the machines, what protects them and their last restore point')
    .action(async () => {
      const machines = await context.api().list('machines', machineAnswer);
      printList(context, COLUMNS, machines, 'No machines: Holdfast may not read any, or there are none.');
    });
}
