import { EventEmitter } from 'node:events';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ByteMeter } from '../../cli/repo/byteMeter.ts';
import type { PromptInput } from '../../cli/repo/prompt.ts';
import { MiB, systemClock } from '../../lib/model/index.ts';
import { goldenRepositories } from '../repository/golden/expected.ts';
import { offline, temporaryFolder } from './offlineLab.ts';

const [golden, unencrypted] = goldenRepositories();
if (!golden || !unencrypted) throw new Error('no golden repositories');
const chain = golden.expected.chains[0];
if (!chain) throw new Error('no chain');
const REPOSITORY = ['--repository', golden.folder];
const env = { HOLDFAST_REPOSITORY_PASSWORD: golden.expected.password ?? '' };
const run = (argv: string[], around: Parameters<typeof offline>[1] = {}) => offline(argv, { env, ...around });

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

/** All files below a folder, but the scratch of writers. */
const namesIn = async (path: string): Promise<string[]> =>
  (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(path, join(parentPath, name)))
    .filter((name) => !name.includes('scratch'))
    .sort();

/** A copy of the golden repository that a test may damage. */
async function copy(name: string): Promise<string> {
  const path = join(folder.path, name);
  await cp(golden?.folder ?? '', path, { recursive: true });
  return path;
}

describe('repo ls', () => {
  test('lists the points of all chains from the objects alone, as the API shows them', async () => {
    const { code, out, err } = await run(['ls', ...REPOSITORY, '-o', 'json']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const points = JSON.parse(out) as { sequence: number; disks: unknown[] }[];
    expect(points).toMatchObject([
      {
        chainId: chain.id,
        sequence: 1,
        machineName: 'vm1',
        kind: 'full',
        disks: [{ number: 0 }, { number: 1 }],
      },
      { chainId: chain.id, sequence: 3, machineName: 'vm1', kind: 'incremental' },
    ]);
    expect(points.map(({ disks }) => disks.length)).toEqual([2, 3]);
  });

  test('every output format works, before the noun and behind the verb', async () => {
    const table = await run(['ls', ...REPOSITORY]);
    expect(table.out.split('\n')[0]).toMatch(/^RESTORE POINT +MACHINE +KIND +TAKEN/);
    const jsonl = await run(['ls', ...REPOSITORY, '-o', 'jsonl']);
    expect(jsonl.out.trim().split('\n')).toHaveLength(2);
    const tsv = await run(['-o', 'tsv', 'ls', ...REPOSITORY]);
    expect(tsv.out).toMatch(new RegExp(`^${chain.id}/1\tvm1\tfull\t`));
  });

  test('of one point shows its disks, with the numbers that a restore wants', async () => {
    const { out } = await run(['ls', `${chain.id}/3`, ...REPOSITORY, '-o', 'json']);
    const disks = chain.points
      .at(-1)
      ?.disks.map(({ number, uniqueId, sizeBytes }) => ({ number, uniqueId, sizeBytes }));
    expect(JSON.parse(out)).toMatchObject(disks ?? []);
  });

  test('of another machine lists nothing', async () => {
    expect(await run(['ls', ...REPOSITORY, '--machine', 'other'])).toEqual({
      code: 0,
      out: '',
      err: 'No restore points.\n',
    });
    expect(
      (await run(['ls', ...REPOSITORY, '--machine', 'VM1', '-o', 'jsonl'])).out.split('\n'),
    ).toHaveLength(3);
  });

  test('a damaged manifest is named, and the other points are listed', async () => {
    const path = await copy('ls-damaged');
    const name = `chains/${chain.id}/points/00000001.manifest`;
    const bytes = await readFile(join(path, 'meta', name));
    bytes[60] = (bytes[60] ?? 0) ^ 1;
    await writeFile(join(path, 'meta', name), bytes);
    const { code, out, err } = await run(['ls', '--repository', path, '-o', 'jsonl']);
    expect(code).toBe(5);
    expect(err).toContain(name);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { sequence: number }).sequence),
    ).toEqual([3]);
  });

  test('goes on with the key slots of a chain when the descriptor is lost, and leaves the folder as it was', async () => {
    const path = await copy('ls-lost');
    await rm(join(path, 'meta', 'repository'));
    const { code, out, err } = await run(['ls', '--repository', path, '-o', 'jsonl']);
    expect({ code, lines: out.trim().split('\n').length }).toEqual({ code: 0, lines: 2 });
    expect(err).toContain('The object repository is missing');
    await expect(readFile(join(path, 'meta', 'repository'))).rejects.toThrow('ENOENT');
    await writeFile(join(path, 'meta', 'repository'), 'garbage');
    expect(await run(['ls', '--repository', path])).toMatchObject({
      code: 0,
      err: expect.stringContaining('Going on with the key slots') as string,
    });
    const refused = await run(['ls', '--repository', path], { env: { HOLDFAST_REPOSITORY_PASSWORD: 'no' } });
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toContain('The password does not open');
  });
});

describe('repo check', () => {
  test.each(['structure', 'content'])('at depth %s finds nothing in a whole repository', async (depth) => {
    const { code, out, err } = await run(['check', ...REPOSITORY, '--depth', depth]);
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toMatch(/1 chains, 2 restore points, .* checked; .*no damage/);
  });

  test('a damaged pack is named with the points that need it, and the exit code is 5', async () => {
    const path = await copy('check-pack');
    const name = `chains/${chain.id}/packs/00000001-0000-000000-001-000000.pack`;
    const bytes = await readFile(join(path, 'data', name));
    bytes[100] = (bytes[100] ?? 0) ^ 4;
    await writeFile(join(path, 'data', name), bytes);
    const { code, out, err } = await run(['check', '--repository', path, '--depth', 'content', '-o', 'json']);
    expect(code).toBe(5);
    expect((JSON.parse(out) as { findings: unknown }).findings).toEqual([
      {
        object: name,
        problem: expect.stringContaining('damaged') as string,
        points: [`${chain.id}/1`, `${chain.id}/3`],
      },
    ]);
    expect(err).toContain('1 damaged objects, 2 restore points affected');
    const table = await run(['check', '--repository', path, '--depth', 'content']);
    expect(table.out).toContain(name);
    expect((await run(['check', '--repository', path])).code).toBe(0);
  });

  test('a lost descriptor is damage, also when there is nobody to ask for a password', async () => {
    const path = await copy('check-lost');
    await rm(join(path, 'meta', 'repository'));
    const { code, out } = await run(['check', '--repository', path, '-o', 'tsv']);
    expect({ code, object: out.split('\t')[0] }).toEqual({ code: 5, object: 'repository' });
  });
});

describe('repo stats, rescan and gc', () => {
  test('stats counts what points need, share and do not need', async () => {
    const { code, out } = await run(['stats', ...REPOSITORY, '-o', 'json']);
    expect(code).toBe(0);
    const [row] = JSON.parse(out) as Record<string, number>[];
    expect(row).toMatchObject({
      chain: chain.id,
      machineName: 'vm1',
      points: [{ sequence: 1 }, { sequence: 3 }],
    });
    const { liveBytes = 0, sharedBytes = 0, deadBytes = -1 } = row ?? {};
    expect(sharedBytes).toBeGreaterThan(0);
    expect(liveBytes).toBeGreaterThan(sharedBytes);
    expect(deadBytes).toBeGreaterThanOrEqual(0);
  });

  test('rescan says what it would bring in, and writes nothing', async () => {
    const { code, out } = await run(['rescan', ...REPOSITORY, '-o', 'json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      repository: { id: golden.expected.repository, mode: 'encrypted' },
      chains: [
        { chain: chain.id, machineName: 'vm1', newest: 3, points: [1, 3], removed: [2, 4], open: [5] },
      ],
      machines: [{ machine: { name: 'vm1' }, chains: [chain.id] }],
      findings: [],
    });
  });

  test('rescan names damage, and the exit code is 5', async () => {
    const path = await copy('rescan-damaged');
    const name = `chains/${chain.id}/points/00000001.manifest`;
    await writeFile(join(path, 'meta', name), 'garbage');
    const { code, out, err } = await run(['rescan', '--repository', path, '-o', 'json']);
    expect(code).toBe(5);
    expect(err).toContain(name);
    expect(JSON.parse(out)).toMatchObject({ chains: [{ points: [3], damaged: [1] }] });
  });

  test('gc --dry-run lists and removes nothing; gc removes just that, for the owner, and every point stays', async () => {
    const path = await copy('gc');
    const argv = ['gc', '--repository', path];
    // The removed point's roots are kept for a day: nothing that it needs is garbage before.
    const young = { ...systemClock, now: () => new Date() };
    const late = { ...systemClock, now: () => new Date(Date.now() + 8 * 24 * 3600_000) };
    const packs = join(path, 'data', 'chains', chain.id, 'packs');
    const lost = '00000003-0000-000000-002-000000.pack';
    await cp(join(packs, lost.replace('-002-', '-001-')), join(packs, lost));
    const before = await namesIn(path);
    const planned = await run([...argv, '--dry-run', '-o', 'json'], { clock: late });
    expect(planned.code).toBe(0);
    const rows = JSON.parse(planned.out) as { action: string; object: string }[];
    expect(rows.map(({ object }) => object)).toContain(`chains/${chain.id}/maps/00000002.0000-001.tree`);
    expect(await namesIn(path)).toEqual(before);
    expect(await run(argv, { clock: young })).toMatchObject({
      code: 1,
      err: expect.stringContaining('--installation') as string,
    });
    const done = await run([...argv, '--installation', 'rescue', '-o', 'json'], { clock: young });
    expect(done).toMatchObject({ code: 0 });
    const after = new Set(await namesIn(path));
    const gone = before.filter((name) => !after.has(name)).map((name) => name.replace(/^(meta|data)[/]/, ''));
    const [{ removed } = { removed: -1 }] = JSON.parse(done.out) as { removed: number }[];
    expect(gone).toContain(`chains/${chain.id}/packs/${lost}`);
    expect(gone).toHaveLength(removed);
    for (const name of gone) expect(rows.map(({ object }) => object)).toContain(name);
    expect((await run(['check', '--repository', path, '--depth', 'content'])).code).toBe(0);
    expect((await run(argv, { clock: young })).code).toBe(0);
  });
});

describe('repo restore-machine-config', () => {
  test('prints what is needed to make the machine again', async () => {
    const { code, out } = await run(['restore-machine-config', `${chain.id}/3`, ...REPOSITORY]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      machine: { name: 'vm1' },
      virtualMachine: { properties: { hardwareProfile: { vmSize: 'Standard_D2s_v5' } } },
      networkInterfaces: [],
      disks: [],
    });
  });

  test('writes a new file, and replaces one only with --force', async () => {
    const file = join(folder.path, 'vm.json');
    const argv = ['restore-machine-config', `${chain.id}/1`, ...REPOSITORY, '--output', file];
    expect(await run(argv)).toMatchObject({ code: 0, out: '' });
    expect(JSON.parse(await readFile(file, 'utf8'))).toHaveProperty('virtualMachine');
    expect(await run(argv)).toMatchObject({ code: 1, err: expect.stringContaining('--force') as string });
    expect((await run([...argv, '--force'])).code).toBe(0);
  });
});

test.each([
  [`${'0'.repeat(16)}/1`, 'There is no chain'],
  [`${chain.id}/2`, 'was removed'],
  [`${chain.id}/4`, 'was abandoned'],
  [`${chain.id}/9`, 'has no restore point 9'],
])('%s is not found, and the message says why', async (point, why) => {
  const { code, err } = await run(['ls', point, ...REPOSITORY]);
  expect(code).toBe(3);
  expect(err).toContain(why);
});

/** A terminal on which somebody types. */
function terminal(typed: string): PromptInput & { raw: boolean[] } {
  const input = new EventEmitter();
  const raw: boolean[] = [];
  const terminal: unknown = Object.assign(input, {
    isTTY: true,
    raw,
    setRawMode: (on: boolean) => raw.push(on),
    setEncoding: () => undefined,
    resume: () => queueMicrotask(() => input.emit('data', typed)),
    pause: () => undefined,
  });
  return terminal as PromptInput & { raw: boolean[] };
}

describe('the password', () => {
  const password = golden.expected.password ?? '';

  test('comes from a file, without its line end', async () => {
    const file = join(folder.path, 'password');
    await writeFile(file, `${password}\r\n`);
    expect((await run(['ls', ...REPOSITORY, '--password-file', file], { env: {} })).code).toBe(0);
    await writeFile(file, '\n');
    expect((await run(['ls', ...REPOSITORY, '--password-file', file], { env: {} })).code).toBe(2);
    const missing = await run(['ls', ...REPOSITORY, '--password-file', `${file}-not`], { env: {} });
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('ENOENT') as string });
  });

  test('is asked for on a terminal, and nothing that is typed is shown', async () => {
    const stdin = terminal(`x\u007f${password}\r`);
    const { code, out, err } = await run(['ls', ...REPOSITORY, '-o', 'jsonl'], { env: {}, stdin });
    expect({ code, lines: out.trim().split('\n').length }).toEqual({ code: 0, lines: 2 });
    expect(err).toMatch(/^Password of the repository in .*: \n$/);
    expect(stdin.raw).toEqual([true, false]);
  });

  test('is hidden before the question is asked', async () => {
    const stdin = terminal(`${password}\r`);
    const rawWhenAsked: boolean[] = [];
    const stderr = { write: () => rawWhenAsked.push(stdin.raw.at(-1) ?? false) };
    await run(['ls', ...REPOSITORY], { env: {}, stdin, stderr });
    expect(rawWhenAsked[0]).toBe(true);
  });

  test('Ctrl-C at the question ends the command, and the terminal is as before', async () => {
    const stdin = terminal('gold\u0003');
    const { code, err } = await run(['ls', ...REPOSITORY], { env: {}, stdin });
    expect(code).toBe(1);
    expect(err).toContain('No password was given');
    expect(stdin.raw).toEqual([true, false]);
  });

  test('that is missing where nobody can be asked is an error that names the ways', async () => {
    const { code, err } = await run(['ls', ...REPOSITORY], { env: {} });
    expect(code).toBe(1);
    expect(err).toMatch(/--password-file .*HOLDFAST_REPOSITORY_PASSWORD/);
  });

  test('that is wrong says so, and is not repeated', async () => {
    for (const argv of [['ls'], ['check'], ['restore-machine-config', `${chain.id}/1`]]) {
      const { code, out, err } = await run([...argv, ...REPOSITORY], {
        env: { HOLDFAST_REPOSITORY_PASSWORD: 'wr0ng-s3cret' },
      });
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toContain('The password does not open the repository');
      expect(err).not.toContain('wr0ng-s3cret');
    }
  });

  test('is not asked for where there is no encryption, and one that is given is refused', async () => {
    const { folder: path } = unencrypted;
    const open = await run(['ls', '--repository', path, '-o', 'jsonl'], { env: {}, stdin: terminal('no\r') });
    expect({ code: open.code, lines: open.out.trim().split('\n').length }).toEqual({ code: 0, lines: 2 });
    expect(open.err).toContain('not encrypted');
    const refused = await run(['ls', '--repository', path], { env });
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('not encrypted, but') as string });
  });
});

describe('where the repository is', () => {
  test('may be said in the environment', async () => {
    const around = { env: { ...env, HOLDFAST_REPOSITORY: golden.folder } };
    expect((await run(['ls'], around)).code).toBe(0);
  });

  test('may be two folders with any names', async () => {
    const argv = ['--repository', join(golden.folder, 'meta'), '--data', join(golden.folder, 'data')];
    expect((await run(['check', ...argv])).code).toBe(0);
  });

  test('may be a folder with copies of the containers under their own names', async () => {
    const path = join(folder.path, 'containers');
    for (const name of ['meta', 'data'])
      await cp(join(golden.folder, name), join(path, `holdfast-${name}`), { recursive: true });
    expect((await run(['check', '--repository', path])).code).toBe(0);
  });

  test.each([
    [[], 2, 'Which repository?'],
    [['--repository', '/no/such/folder'], 3, 'There is no folder'],
    [['--repository', '/'], 3, 'holds no repository'],
    [['--repository', 'https://acc.blob.core.windows.net/m?sig=S3CRET'], 2, '--data'],
  ])('%j is refused', async (argv, exitCode, says) => {
    const { code, err } = await run(['ls', ...argv]);
    expect(code).toBe(exitCode);
    expect(err).toContain(says);
    expect(err).not.toContain('S3CRET');
  });

  test('a SAS that storage refuses is not shown', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(403, {
        'x-ms-error-code': 'AuthenticationFailed',
        'content-type': 'application/xml',
      });
      response.end(
        '<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code><Message>sig=S3CRET is bad</Message></Error>',
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}/acc`;
      const sas = 'sv=2024-11-04&sr=c&sp=rl&se=2999-01-01T00:00:00Z&sig=S3CRET';
      const urls = ['--repository', `${at}/meta?${sas}`, '--data', `${at}/data?${sas}`];
      const { code, out, err } = await run(['ls', ...urls]);
      expect(code).toBe(1);
      expect(err).toContain('acc/meta');
      expect(`${out}${err}`).not.toContain('S3CRET');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

test('progress says amount, share, rate and the time that is left', () => {
  let now = 0;
  const clock = { now: () => new Date(now), sleep: () => Promise.resolve() };
  const written: string[] = [];
  const meter = new ByteMeter({ write: (text) => written.push(text) }, clock, 'disk 0', 100 * MiB);
  meter.add(10 * MiB);
  now = 10_000;
  meter.add(10 * MiB);
  now = 20_000;
  meter.add(30 * MiB);
  now = 40_000;
  meter.end();
  expect(written).toEqual([
    'disk 0: 20.0 MiB of 100 MiB (20%), 2.0 MiB/s, 40s left\n',
    'disk 0: 50.0 MiB of 100 MiB (50%), 2.5 MiB/s, 20s left\n',
    'disk 0: 50.0 MiB of 100 MiB (50%) in 40s, 1.3 MiB/s\n',
  ]);
});
