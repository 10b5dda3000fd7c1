import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';

const run = promisify(execFile);

async function violationsOf(file: string): Promise<string[]> {
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', '--do-not-follow', '.', file];
  const { stdout } = await run('node_modules/.bin/depcruise', args, { maxBuffer: 64 << 20 }).catch(
    (error: { stdout: string }) => error,
  );
  const { summary } = JSON.parse(stdout) as {
    summary: { violations: { rule: { name: string } }[]; totalCruised: number };
  };
  expect(summary.totalCruised).toBeGreaterThan(0);
  return summary.violations.map(({ rule }) => rule.name);
}

describe('the import rules', () => {
  const broken: string[] = [];
  afterEach(() => Promise.all(broken.splice(0).map((file) => rm(file, { force: true }))));

  it.each([
    ['lib/model/broken.ts', "import '../installation/settings.ts';", 'lib-model-knows-nothing-above'],
    ['orchestrators/broken.ts', "import 'node:fs';", 'no-node-core-in-orchestrators'],
    ['orchestrators/broken.ts', "import '../lib/installation/settings.ts';", 'orchestrators-only-order'],
    ['lib/chain/broken.ts', "import '@azure/identity';", 'pure-rooms-stay-pure'],
    ['lib/repository/broken.ts', "import '@azure/storage-blob';", 'repository-needs-no-cloud'],
    ['lib/schedule/broken.ts', "import 'durable-functions';", 'lib-knows-no-functions-host'],
    ['functions/broken.ts', "import '../test/run.ts';", 'nobody-imports-a-program'],
  ])('%s with %s is refused by %s', async (file, line, rule) => {
    broken.push(file);
    await writeFile(file, `${line}\n`);
    expect(await violationsOf(file)).toContain(rule);
  });

  it('finds nothing in a file that keeps them', async () => {
    expect(await violationsOf('lib/chain/base.ts')).toEqual([]);
  });
});
