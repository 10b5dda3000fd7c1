// A launcher for the tests: starts children in the state folder of its first argument, says their pids, and waits.
import { Children } from '../../../local/children.ts';
import { takeRunLock } from '../../../local/runLock.ts';
import { StateFolder } from '../../../local/stateFolder.ts';

const state = new StateFolder(process.argv[2] as string);
takeRunLock(state);
const children = new Children(state);
const env = JSON.parse(process.argv[3] ?? '{}') as Record<string, string>;
await children.start({
  name: 'gentle',
  program: 'test/local/programs/server.ts',
  env: { ...env, NAME: 'gentle' },
  gentle: true,
});
await children.start({
  name: 'other',
  program: 'test/local/programs/server.ts',
  env: { ...env, NAME: 'other' },
});
console.log(JSON.stringify(children.pids()));
setInterval(() => {}, 60_000);
