import { existsSync, linkSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { readReasonSchema } from '../../lib/model/index.ts';
import { type DiskStore, openDiskStore } from '../../local/azure/disks/index.ts';
import type { LoggedRequest } from '../../local/azure/index.ts';
import { StateStore } from '../../local/azure/state.ts';
import { DEMO } from '../../local/demo/subscription.ts';
import { consoles, jobWindows, parseEvents } from './guestLog.ts';
import { end, type Program, run } from './processes.ts';

/** `npm run demo -- --json` as a user runs it, and what the simulator saw of it, once it has ended. */
const BLOCK = 512 * 1024;
/** Blocks of a disk that are read back before a commit. */
const READ_BACK = 8;
const bytes = z.number().int().nonnegative();
const reportSchema = z.object({
  points: z.array(
    z.object({
      kind: z.enum(['full', 'incremental']),
      seconds: z.number().positive(),
      disks: z
        .array(
          z.object({
            name: z.string(),
            sizeBytes: bytes.positive(),
            allocatedBytes: bytes,
            readBytes: bytes,
            storedBytes: bytes,
            readReason: readReasonSchema,
          }),
        )
        .min(1),
    }),
  ),
  restores: z.array(
    z.object({
      restorePoint: z.string(),
      identical: z.boolean(),
      disks: z.array(z.object({ name: z.string(), diskId: z.string(), identical: z.boolean() })),
    }),
  ),
});

let folder: string;
let demo: Program;
let report: z.infer<typeof reportSchema>;
/** The state that the demo leaves with `--keep`. */
let state: string;
let requests: LoggedRequest[];
/** What the workers printed: their VMs are deleted, and their consoles with them, so that they are kept by a second name. */
let said: ReturnType<typeof parseEvents>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-demo-test-'));
  // Proxies that are not there: whatever is not loopback fails.
  const nowhere = 'http://127.0.0.1:1';
  demo = run('npm', ['run', '--silent', 'demo', '--', '--json', '--keep'], {
    TMPDIR: folder,
    http_proxy: nowhere,
    https_proxy: nowhere,
    no_proxy: '127.0.0.1,localhost',
  });
  const kept: string[] = [];
  const watch = setInterval(() => {
    for (const file of stateFolders().flatMap((one) => consoles(join(one, 'azure')))) {
      const second = join(folder, `${basename(dirname(file))}.console`);
      if (existsSync(second)) continue;
      linkSync(file, second);
      kept.push(second);
    }
  }, 20);
  const code = await demo.ended;
  clearInterval(watch);
  if (code !== 0) throw new Error(`The demo ended with ${code}: ${demo.stderr()}`);
  report = reportSchema.parse(JSON.parse(demo.stdout()));
  state = stateFolders()[0] ?? '';
  requests = readFileSync(join(state, 'azure', 'requests.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LoggedRequest);
  said = kept.flatMap((file) => parseEvents(readFileSync(file, 'utf8')));
}, 180_000);
afterAll(async () => {
  await end(demo);
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const stateFolders = () =>
  readdirSync(folder)
    .filter((name) => name.startsWith('holdfast-demo-'))
    .map((name) => join(folder, name));

/** Requests that were answered well. */
const done = (method: string, path: RegExp) =>
  requests.filter(
    (one) => one.method === method && one.status < 300 && one.status > 0 && path.test(one.path),
  );

test('the demo backs up fully, then what changed, and restores both points, every byte', () => {
  expect(report.points.map(({ kind }) => kind)).toEqual(['full', 'incremental']);
  const [full, incremental] = report.points.map(({ disks }) => disks);
  expect(full?.map(({ readReason }) => readReason)).toEqual(['first', 'first']);
  expect(incremental?.map(({ readReason }) => readReason)).toEqual(['changedBlocks', 'changedBlocks']);
  for (const disk of full ?? []) {
    expect(disk.readBytes).toBe(disk.allocatedBytes);
    expect(disk.allocatedBytes).toBeLessThan(disk.sizeBytes / 10);
    expect(disk.storedBytes).toBeLessThan(disk.readBytes);
  }
  expect(report.restores.map(({ identical }) => identical)).toEqual([true, true]);
});

test('the restored disks are the snapshots byte by byte, and an incremental read no more than what differs and the samples', async () => {
  const records = new StateStore(join(state, 'azure'));
  const store = await openDiskStore(join(state, 'azure', 'disks'));
  try {
    const disks = records.collection<{ name: string; uniqueId: string; id: string }>('disks');
    // Snapshots of a disk by age; both restore points keep theirs.
    const snapshots = records
      .collection<{ uniqueId: string; timeCreated: number; sourceId?: string; name: string }>('snapshots')
      .values();
    const contentOf = (id: string) => disks.get(id)?.uniqueId ?? '';
    expect(snapshots).toHaveLength(4);
    for (const [at, { name, sizeBytes, readBytes }] of (report.points[1]?.disks ?? []).entries()) {
      const [older, newer] = snapshots
        .filter((one) => JSON.stringify(one).toLowerCase().includes(`/disks/${name}"`))
        .sort((a, b) => a.timeCreated - b.timeCreated)
        .map(({ uniqueId }) => uniqueId);
      const restored = report.restores.map(({ disks: made }) => contentOf(made[at]?.diskId ?? ''));
      let changedBlocks = 0;
      for (const block of await blocksOf(store, [older, newer, ...restored])) {
        const offset = block * BLOCK;
        const [a, b, c, d] = await Promise.all(
          [older, newer, ...restored].map((content) =>
            store.read(content ?? '', offset, Math.min(BLOCK, sizeBytes - offset)),
          ),
        );
        if (!a || !b || !c || !d) throw new Error(`A disk of ${name} is missing.`);
        if (!a.equals(c) || !b.equals(d)) throw new Error(`${name} differs at ${offset}.`);
        if (!a.equals(b)) changedBlocks++;
      }
      const samples = Math.max(10, Math.ceil(sizeBytes / BLOCK / 1000));
      expect(changedBlocks).toBeGreaterThan(0);
      expect(readBytes).toBeGreaterThanOrEqual(changedBlocks * BLOCK);
      // The workload never writes the same bytes again, so that what was written is what differs.
      expect(readBytes).toBeLessThanOrEqual((changedBlocks + samples) * BLOCK);
    }
  } finally {
    await store.close();
    records.close();
  }
}, 60_000);

/** Blocks of which any of the disks or snapshots holds something: all others are zeros in all of them. */
async function blocksOf(store: DiskStore, contents: readonly (string | undefined)[]): Promise<Set<number>> {
  const blocks = new Set<number>();
  for (const content of contents) {
    for await (const { offset, length } of store.ranges(content ?? '')) {
      for (let at = Math.floor(offset / BLOCK); at * BLOCK < offset + length; at++) blocks.add(at);
    }
  }
  return blocks;
}

test('the bytes were read and written by workers that ARM created, and the app asked for them with its own identity', () => {
  const created = done(
    'PUT',
    new RegExp(
      `/resourceGroups/${DEMO.workerResourceGroup}/providers/Microsoft.Compute/virtualMachines/[^/?]+\\?`,
      'i',
    ),
  );
  const names = created.map(({ path }) => /virtualMachines\/([^/?]+)/i.exec(path)?.[1]);
  expect(created.length).toBeGreaterThan(0);
  for (const { userAgent } of created) expect(userAgent).toContain('azsdk-js-arm-compute/');
  // Each of them has booted and taken the token of its own identity.
  const tokens = requests.filter(({ surface, path }) => surface === 'imds' && path.includes('oauth2/token'));
  const booted = new Set(tokens.map(({ virtualMachine }) => virtualMachine?.split('/').at(-1)));
  expect(names.filter((name) => booted.has(name ?? ''))).not.toEqual([]);
  const app = created[0]?.principal;
  expect(tokens.map(({ principal }) => principal)).not.toContain(app);

  // Two plans and two moves of each backup, two parts of each restore.
  const windows = jobWindows(said);
  const kinds = Object.groupBy(windows, ({ jobId }) => jobId.split('-')[0] ?? '');
  expect([kinds['plan']?.length, kinds['move']?.length, kinds['restore']?.length]).toEqual([4, 4, 4]);
  const within = (jobs: typeof windows | undefined, { time, milliseconds }: LoggedRequest) => {
    const started = Date.parse(time) - milliseconds;
    return (jobs ?? []).some(({ from, to }) => from <= started && started <= to);
  };
  const reads = requests.filter(({ surface, method }) => surface === 'disk' && method === 'GET');
  expect(reads.length).toBeGreaterThan(20);
  const readers = [...(kinds['plan'] ?? []), ...(kinds['move'] ?? [])];
  // Before it commits, the app compares a few blocks of each disk with the snapshot.
  const others = reads.filter((read) => !within(readers, read));
  expect(others.length).toBeLessThanOrEqual(READ_BACK * 4);
  const before = ({ time }: LoggedRequest) => windows.findLast(({ to }) => to <= Date.parse(time))?.jobId;
  expect(new Set(others.map(before))).toEqual(new Set(['move-1-0']));
  const writes = requests.filter(({ surface, method }) => surface === 'disk' && method === 'PUT');
  // The app writes the footer of each disk, and nothing else.
  expect(writes.filter((write) => !within(kinds['restore'], write)).length).toBeLessThanOrEqual(4);
  expect(writes.length).toBeGreaterThan(20);
});

test('at the end no worker VM runs, every SAS is revoked, and nothing was asked of anybody but the simulator', () => {
  const last = new Map<string, string>();
  for (const { method, path, status } of requests) {
    const match = /virtualMachines\/([^/?]+)(?:\/(\w+))?\?/i.exec(path);
    if (!match?.[1] || status >= 300 || status === 0 || method === 'GET') continue;
    if (path.toLowerCase().includes(`/${DEMO.workerResourceGroup}/`))
      last.set(match[1], `${method} ${match[2] ?? ''}`.trim());
  }
  expect(last.size).toBeGreaterThan(0);
  for (const verb of last.values()) expect(['DELETE', 'POST deallocate']).toContain(verb);
  const targets = (verb: string) =>
    new Set(done('POST', new RegExp(`/${verb}\\?`, 'i')).map(({ path }) => path.split(`/${verb}`)[0]));
  expect(targets('beginGetAccess').size).toBeGreaterThanOrEqual(8);
  expect(targets('endGetAccess')).toEqual(targets('beginGetAccess'));
  const policies = JSON.parse(readFileSync(join(state, 'azure', 'disks', 'policies.json'), 'utf8')) as {
    grants: unknown[];
  };
  expect(policies.grants).toEqual([]);
  const final = new Map<string, string>();
  for (const { path } of done('POST', /\/(begin|end)GetAccess\?/)) {
    const [, resource = '', verb = ''] = /(.*)\/(begin|end)GetAccess/.exec(path) ?? [];
    final.set(resource, verb);
  }
  expect([...final.values()].filter((verb) => verb !== 'end')).toEqual([]);
  expect(requests.filter(({ surface }) => surface === 'unknown')).toEqual([]);
});
