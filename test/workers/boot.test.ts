import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { cloudInit } from '../../lib/workers/cloudInit.ts';
import { packageWorker } from '../../lib/workers/packageWorker.ts';
import { type Answerer, type Call, type Loopback, startLoopback } from './loopback.ts';

const run = promisify(execFile);
const AUDIENCE = 'api://holdfast';
const PROGRAM = `console.log(JSON.stringify({ started: true, app: process.env.HOLDFAST_APP_URL, audience: process.env.HOLDFAST_AUDIENCE }));\n`;

interface CloudConfig {
  readonly write_files: readonly {
    readonly path: string;
    readonly content: string;
    readonly permissions: string;
  }[];
  readonly runcmd: readonly (readonly string[])[];
}
const read = (text: string) => parse(text) as CloudConfig;

/** A VM of the given image: what cloud-init would write, in a folder of its own. */
async function machine(loopback: Loopback, name = 'vm') {
  const root = join(loopback.dir, name);
  const place = (text: string) =>
    text.replaceAll('/opt/holdfast', join(root, 'opt')).replaceAll('/etc/holdfast', join(root, 'etc'));
  for (const { path, content } of read(cloudInit({ appUrl: loopback.appUrl, audience: AUDIENCE }))
    .write_files) {
    if (path.startsWith('/etc/systemd')) continue;
    await mkdir(dirname(place(path)), { recursive: true });
    await writeFile(place(path), place(content));
  }
  const boot = (path = process.env['PATH'] ?? '') =>
    run('/bin/sh', [join(root, 'opt', 'boot.sh')], {
      env: {
        PATH: `${dirname(process.execPath)}${delimiter}${path}`,
        AZURE_POD_IDENTITY_AUTHORITY_HOST: loopback.imdsUrl,
        CURL_CA_BUNDLE: loopback.tls.caFile,
        SSL_CERT_FILE: loopback.tls.caFile,
      },
    });
  return { root, opt: join(root, 'opt'), boot };
}

/** The app's part: it names a package to who has a token, and storage gives it. */
async function makePackage(loopback: Loopback, program = PROGRAM) {
  const bundle = join(loopback.dir, 'bundle.mjs');
  await writeFile(bundle, program);
  const made = await packageWorker({ bundle }, join(loopback.dir, 'packages'));
  return { ...made, content: await readFile(made.path) };
}

let loopback: Loopback | undefined;
let answer: Answerer = () => ({ status: 500, body: '' });
const start = async () => {
  loopback = await startLoopback((call) => answer(call));
  return loopback;
};
afterEach(async () => {
  await loopback?.stop();
});

describe('a worker boots', () => {
  it.each([['curl'], ['wget']])(
    'with %s: it fetches the package once, checks it and becomes it',
    async (tool) => {
      const servers = await start();
      const made = await makePackage(servers);
      const calls: Call[] = [];
      answer = (call) => {
        calls.push(call);
        if (call.path.startsWith('/package.tgz')) return { body: made.content };
        if (call.headers.authorization !== 'Bearer token-of-the-vm') return { status: 401, body: '{}' };
        return {
          body: JSON.stringify({
            digest: made.digest,
            url: `${servers.appUrl}/package.tgz?sv=1&sig=abc%2Fd`,
          }),
        };
      };
      const { opt, boot } = await machine(servers);
      const path = await toolsWithout(servers, tool === 'curl' ? 'wget' : 'curl');
      await mkdir(join(opt, 'f'.repeat(64)));
      const first = await boot(path);
      expect(JSON.parse(first.stdout.trim().split('\n').at(-1) ?? '')).toEqual({
        started: true,
        app: servers.appUrl,
        audience: AUDIENCE,
      });
      expect(calls.map((call) => call.path)).toEqual([
        '/api/worker/package',
        '/package.tgz?sv=1&sig=abc%2Fd',
      ]);
      expect(calls[1]?.headers.authorization).toBeUndefined();
      expect(servers.tokensAsked[0]).toContain(`resource=${AUDIENCE}`);
      expect((await readdir(opt)).sort()).toEqual([made.digest, 'boot.sh']);
      const second = await boot(path);
      expect(second.stdout).toContain('"started":true');
      expect(calls.map((call) => call.path).slice(2)).toEqual(['/api/worker/package']);
      expect(first.stdout + first.stderr + second.stdout + second.stderr).not.toMatch(/sig=|token-of-the-vm/);
    },
  );

  it('refuses a package that is not the one the app named', async () => {
    const servers = await start();
    const made = await makePackage(servers);
    answer = ({ path }) =>
      path.startsWith('/package.tgz')
        ? { body: made.content }
        : { body: JSON.stringify({ digest: 'a'.repeat(64), url: `${servers.appUrl}/package.tgz` }) };
    const { opt, boot } = await machine(servers);
    await expect(boot()).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringContaining('not the one the app named'),
    });
    expect(await readdir(opt)).toEqual(['boot.sh']);
  });

  it('asks again while the app does not know the new VM yet', async () => {
    const servers = await start();
    const made = await makePackage(servers);
    let asked = 0;
    answer = ({ path }) => {
      if (path.startsWith('/package.tgz')) return { body: made.content };
      if (asked++ === 0) return { status: 401, body: '{}' };
      return { body: JSON.stringify({ digest: made.digest, url: `${servers.appUrl}/package.tgz` }) };
    };
    const { boot } = await machine(servers);
    expect((await boot(await toolsWithout(servers, 'none'))).stdout).toContain('"started":true');
    expect(asked).toBe(2);
  });
});

describe('cloud-init', () => {
  const settings = { appUrl: 'https://app.example', audience: AUDIENCE };

  it('writes settings, script and unit, and nothing secret', () => {
    const text = cloudInit(settings);
    expect(text.startsWith('#cloud-config\n')).toBe(true);
    const { write_files, runcmd } = read(text);
    expect(write_files.map(({ path }) => path)).toEqual([
      '/etc/holdfast/worker.env',
      '/opt/holdfast/boot.sh',
      '/etc/systemd/system/holdfast-worker.service',
    ]);
    expect(write_files[0]?.content).toBe(
      "HOLDFAST_APP_URL='https://app.example'\nHOLDFAST_AUDIENCE='api://holdfast'\n",
    );
    expect(runcmd.at(-1)).toEqual(['systemctl', 'enable', '--now', 'holdfast-worker.service']);
    expect(cloudInit(settings)).toBe(text);
  });

  it('the script names no other absolute path than its two prefixes', () => {
    const script = read(cloudInit(settings)).write_files[1]?.content ?? '';
    const paths = [...script.matchAll(/(?<![\w$"/}*:.-])\/[a-z]\w*(?:\/\w+)*/g)].map(([path]) => path);
    const others = new Set(paths.filter((path) => !/^\/(opt|etc)\/holdfast/.test(path)));
    expect([...others].sort()).toEqual(['/bin/sh', '/dev/null']);
  });

  it('refuses what would not survive quoting', () => {
    for (const wrong of [
      { ...settings, appUrl: 'http://app.example' },
      { ...settings, appUrl: "https://app.example/'$(reboot)'" },
      { ...settings, appUrl: 'https://app.example/' },
      { ...settings, audience: 'api://x y' },
    ]) {
      expect(() => cloudInit(wrong)).toThrow(expect.objectContaining({ code: 'invalidInput' }));
    }
  });
});

describe('the worker package', () => {
  it('equal files give equal bytes, named by their digest, and tar reads them', async () => {
    const { dir } = await start();
    const [bundle, node] = [join(dir, 'worker.mjs'), join(dir, 'some-node')];
    await writeFile(bundle, 'x'.repeat(100_000));
    await writeFile(node, Buffer.alloc(1_000_001, 9));
    const first = await packageWorker({ bundle, node }, join(dir, 'one'));
    await writeFile(bundle, 'x'.repeat(100_000));
    const second = await packageWorker({ bundle, node }, join(dir, 'two'));
    expect(second.digest).toBe(first.digest);
    const bytes = await readFile(first.path);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(first.digest);
    expect(first.name).toBe(`worker-${first.digest}.tgz`);
    expect(first.bytes).toBe(bytes.length);
    const { stdout } = await run('tar', ['-tvzf', first.path]);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/\s+/))
        .map(([mode, , size, , , name]) => [mode, size, name]),
    ).toEqual([
      ['-rwxr-xr-x', '1000001', 'node'],
      ['-rw-r--r--', '100000', 'worker.mjs'],
    ]);
    await run('tar', ['-xzf', first.path, '-C', dir]);
    expect(Buffer.compare(await readFile(join(dir, 'node')), Buffer.alloc(1_000_001, 9))).toBe(0);
  });

  it('a missing file is named, and leaves nothing', async () => {
    const { dir } = await start();
    const into = join(dir, 'out');
    await expect(packageWorker({ bundle: join(dir, 'none.mjs') }, into)).rejects.toMatchObject({
      code: 'notFound',
    });
    expect(await readdir(into)).toEqual([]);
  });
});

/** A PATH with the tools of a small image, one of them missing. `sleep` does not: the script's patience is not tested here. */
async function toolsWithout(servers: Loopback, missing: string): Promise<string> {
  const bin = join(servers.dir, `bin-without-${missing}`);
  await mkdir(bin);
  const tools = [
    'sh',
    'curl',
    'wget',
    'tar',
    'gzip',
    'sed',
    'head',
    'cut',
    'sha256sum',
    'mkdir',
    'mv',
    'rm',
    'basename',
  ];
  for (const tool of tools.filter((one) => one !== missing)) {
    const { stdout } = await run('/bin/sh', ['-c', `command -v ${tool}`]);
    await symlink(stdout.trim(), join(bin, tool));
  }
  await writeFile(join(bin, 'sleep'), '#!/bin/sh\n', { mode: 0o755 });
  return bin;
}
