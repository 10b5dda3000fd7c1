#!/usr/bin/env node
// The bin of the package. Plain JavaScript that an old Node still reads: `npx holdfast` runs under whatever Node comes
// first in PATH. When that one cannot run the sources, the project's own Node (devDependency "node") takes over.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const runsTypeScript = Boolean(process.features.typescript);
const ownNode = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));

if (runsTypeScript) {
  const { main } = await import('./main.ts');
  process.exitCode = await main(process.argv.slice(2));
} else if (process.env.HOLDFAST_NODE_TRIED !== '1' && existsSync(ownNode)) {
  const child = spawn(ownNode, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, HOLDFAST_NODE_TRIED: '1' },
  });
  // The terminal sends Ctrl-C to both; the child decides what it means, and its exit code is ours.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => {
    process.exit(code === null ? 128 + constants.signals[signal] : code);
  });
} else {
  await import('../requireNode.mjs');
  console.error(
    `This Node (${process.versions.node}) does not run TypeScript by itself, and the project's own Node is not installed.\n` +
      'Run "npm ci" without --ignore-scripts in the folder of Holdfast, or use Node 22.18 or later.',
  );
  process.exit(1);
}
