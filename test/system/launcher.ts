/**
 * `npm start` with the machines of a test in place of the demo's: same supervisor, same end by signals. Told by its argument,
 * as JSON: the state folder, machines with the sizes of their disks, settings. Prints a line of JSON when it is ready.
 */
import { StateFolder } from '../../local/stateFolder.ts';
import { startSystem } from '../../local/system.ts';
import { addMachine, GuestDisk } from './smallMachine.ts';

interface Order {
  readonly folder: string;
  readonly machines: Readonly<Record<string, readonly number[]>>;
  readonly settings: Readonly<Record<string, string>>;
}

const { folder, machines, settings } = JSON.parse(process.argv[2] ?? '') as Order;
const system = await startSystem(new StateFolder(folder), {
  populate: async (admin) => {
    for (const [name, sizes] of Object.entries(machines)) {
      const disks = sizes.map((size, i) => new GuestDisk(() => admin, diskName(name, i), size));
      await addMachine(admin, name, disks);
    }
  },
  settings,
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void system.stop().then((stubborn) => process.exit(stubborn.length)));
}
void system.died.then(async (message) => {
  console.error(message);
  await system.stop();
  process.exit(1);
});
process.stdout.write(`${JSON.stringify({ ready: true, url: system.url, notes: system.notes })}\n`);

function diskName(machine: string, i: number): string {
  return i === 0 ? `${machine}-os` : `${machine}-data${i}`;
}
