/** A process that changes a disk until it is killed: prints a line after each step that the store has acknowledged. */
import { writeSync } from 'node:fs';
import { openDiskStore } from '../../local/azure/disks/index.ts';
import { diskScript, play, SCRIPT_DISK_BYTES } from './diskScript.ts';

const [folder = '', seed = '0'] = process.argv.slice(2);
const store = await openDiskStore(folder);
await store.create('disk', SCRIPT_DISK_BYTES);
for (const step of diskScript(Number(seed))) {
  await play(store, step);
  writeSync(1, '.');
}
