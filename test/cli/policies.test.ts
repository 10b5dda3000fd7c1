import { EventEmitter } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { assign } from '../../cli/commands/policyPath.ts';
import type { PromptInput } from '../../cli/repo/prompt.ts';
import { policySchema } from '../../lib/model/index.ts';
import { refusal, run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>> | undefined;
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
});
afterEach(async () => {
  await service?.close();
  service = undefined;
  rmSync(cwd, { recursive: true });
});

const GOLD = policySchema.parse({
  id: 'gold',
  scope: { tags: [{ key: 'env', value: 'prod' }], exclude: { disks: [{ name: '*_temp' }] } },
  calendar: {
    timeZone: 'Europe/Berlin',
    schedules: [
      { every: 'day', at: ['22:00'] },
      { every: 'week', at: ['02:00'], days: ['sunday'] },
    ],
  },
  retention: { keep: { daily: { points: 14 }, weekly: { weeks: 5 } } },
});
const shown = { ...GOLD, nextSlots: ['2026-11-22T21:00:00.000Z'], etag: 'W/"1"' };
const file = (name: string, text: string): string => {
  writeFileSync(join(cwd, name), text);
  return name;
};
const bodies = () => service?.seen.map(({ method, path, body }) => ({ method, path, body }));
/** A standard input that holds a text. */
const pipe = (text: string) => {
  const input = new EventEmitter() as EventEmitter & PromptInput;
  Object.assign(input, {
    setEncoding: () => undefined,
    pause: () => undefined,
    resume: () => queueMicrotask(() => input.emit('data', text) && input.emit('end')),
  });
  return input;
};

test('a list of policies tells when, how long and what in words', async () => {
  service = await scriptedService({ 'GET policies': { body: { value: [shown] } } });
  expect((await run(service.url, ['policy', 'list'])).out).toBe(
    [
      'POLICY  ENABLED  PRIORITY  WHEN                                         KEEPS                         SCOPE                                 NEXT',
      'gold    yes           500  daily 22:00, weekly Sun 02:00 Europe/Berlin  14 daily, weekly for 5 weeks  tag env=prod; not disks named *_temp  2026-11-22 21:00:00Z',
      '',
    ].join('\n'),
  );
});

describe('documents', () => {
  test('create sends what is in a YAML file, only if there is no such policy; --replace over one', async () => {
    service = await scriptedService({ 'PUT policies/gold': { body: shown } });
    file('gold.yaml', stringify({ id: 'gold', scope: { all: true } }));
    expect((await run(service.url, ['policy', 'create', 'gold.yaml'], { cwd })).code).toBe(0);
    await run(service.url, ['policy', 'create', 'gold.yaml', '--replace'], { cwd });
    expect(bodies()?.map(({ body }) => body)).toEqual(
      Array.from({ length: 2 }, () => ({ id: 'gold', scope: { all: true } })),
    );
    expect(service.seen.map(({ headers }) => headers['if-none-match'])).toEqual(['*', undefined]);
  });

  test('what export writes, in YAML or JSON, import sends back as it was: from files and standard input', async () => {
    const silver = { ...GOLD, id: 'silver' };
    service = await scriptedService({
      'GET policies': { body: { policies: [GOLD, silver] } },
      'POST policies/import': {
        body: {
          dryRun: false,
          value: [
            { id: 'gold', action: 'replaced', differences: [{ path: '/priority', before: 1, after: 2 }] },
          ],
          warnings: [{ level: 'warning', path: '/0/scope', message: 'it matches no machine now' }],
        },
      },
    });
    const yaml = (await run(service.url, ['policy', 'export', '--format', 'yaml'])).out;
    const json = (await run(service.url, ['policy', 'export', 'silver', '--format', 'json'])).out;
    expect([parse(yaml), JSON.parse(json)]).toEqual([{ policies: [GOLD, silver] }, { policies: [silver] }]);

    file('all.yaml', yaml);
    const { out, err } = await run(service.url, ['policy', 'import', 'all.yaml', '-o', 'tsv'], { cwd });
    expect(out).toBe('gold\treplaced\t/priority\n');
    expect(err).toContain('warning /0/scope: it matches no machine now');
    await run(service.url, ['policy', 'import', '-', '--dry-run'], { stdin: pipe(json) });
    file('two.yaml', `${stringify(GOLD)}---\n${stringify(silver)}`);
    file('list.json', JSON.stringify([GOLD]));
    await run(service.url, ['policy', 'import', 'two.yaml', 'list.json'], { cwd });
    const sent = bodies()?.filter(({ method }) => method === 'POST');
    expect(sent?.map(({ body }) => body)).toEqual([
      { policies: [GOLD, silver], dryRun: false },
      { policies: [silver], dryRun: true },
      { policies: [GOLD, silver, GOLD], dryRun: false },
    ]);
  });

  test('a refused import shows every place that is wrong', async () => {
    const { status = 400, body } = refusal(400, 'invalidInput', 'Nothing was written: 2 errors.');
    const details = [
      { code: 'invalidInput', target: '/0/scope/tag', message: '"tag" is not known here' },
      { code: 'invalidInput', target: '/1/id', message: 'there are two policies named gold' },
    ];
    service = await scriptedService({
      'POST policies/import': { status, body: { error: { ...(body as { error: object }).error, details } } },
    });
    file('all.yaml', stringify({ policies: [{ id: 'gold' }] }));
    const { code, err } = await run(service.url, ['policy', 'import', 'all.yaml'], { cwd });
    expect(code).toBe(2);
    expect(err).toContain('  /0/scope/tag: "tag" is not known here\n  /1/id: there are two policies');
  });

  test('validate prints findings with their places, and fails when one is an error', async () => {
    const machines = { inScope: 3, excluded: 1, owned: 2, takes: { silver: 1 }, ownedByOthers: { sla: 1 } };
    service = await scriptedService({
      'POST policies/validate': [
        { body: { valid: true, errors: [], warnings: [], machines } },
        {
          body: {
            valid: false,
            errors: [{ level: 'error', path: '/id', message: 'wants another' }],
            warnings: [],
            machines: null,
          },
        },
      ],
    });
    file('gold.json', JSON.stringify(GOLD));
    const good = await run(service.url, ['policy', 'validate', 'gold.json'], { cwd });
    expect(good.code).toBe(0);
    expect(good.err).toContain(
      'gold: valid, 2 machines; 1 taken from policy silver; 1 in scope stay with policy sla; 1 excluded',
    );
    const bad = await run(service.url, ['policy', 'validate', 'gold.json', '-o', 'tsv'], { cwd });
    expect([bad.code, bad.out]).toEqual([1, 'gold\terror\t/id\twants another\n']);
  });

  test('diff prints path, before and after', async () => {
    const differences = [{ path: '/retention/keep/daily', before: { points: 14 }, after: { points: 7 } }];
    service = await scriptedService({ 'POST policies/gold/diff': { body: { exists: true, differences } } });
    const text = stringify({ ...GOLD, id: 'other' });
    const { out } = await run(service.url, ['policy', 'diff', '-', 'gold', '-o', 'tsv'], {
      stdin: pipe(text),
    });
    expect(out).toBe('/retention/keep/daily\t{"points":14}\t{"points":7}\n');
    expect(bodies()?.[0]?.body).toEqual(GOLD);
  });

  test('what is no document is refused before anything is sent', async () => {
    service = await scriptedService({});
    file('broken.yaml', 'id: [');
    file('empty.yaml', '# nothing\n');
    file('several.yaml', stringify({ policies: [GOLD, GOLD] }));
    for (const [name, why] of [
      ['broken.yaml', 'neither JSON nor YAML'],
      ['empty.yaml', 'There is no policy in'],
      ['several.yaml', 'There are 2 policies in'],
      ['missing.yaml', 'there is no such file'],
    ] as const) {
      const { code, err } = await run(service.url, ['policy', 'create', name], { cwd });
      expect([code, err]).toEqual([2, expect.stringContaining(why)]);
    }
    expect(service.seen).toEqual([]);
  });
});

describe('edit', () => {
  test('--set replaces a place, --unset takes it back, under the etag that was read', async () => {
    service = await scriptedService({
      'GET policies/gold': { body: shown },
      'PUT policies/gold': { body: shown },
    });
    const args = ['--set', 'retention.keep.daily={days: 30}', '--set', 'calendar.schedules.0.at=[21:30]'];
    const more = ['--set', '/scope/tags/0/value=test', '--unset', 'retention.keep.weekly'];
    const { code } = await run(service.url, ['policy', 'edit', 'gold', ...args, ...more]);
    expect(code).toBe(0);
    const sent = service.seen.at(-1);
    expect(sent?.headers['if-match']).toBe('W/"1"');
    expect(sent?.body).toEqual({
      ...GOLD,
      retention: { ...GOLD.retention, keep: { daily: { days: 30 } } },
      calendar: {
        ...GOLD.calendar,
        schedules: GOLD.calendar?.schedules.with(0, {
          ...GOLD.calendar.schedules[0],
          at: ['21:30'],
        } as never),
      },
      scope: { ...GOLD.scope, tags: [{ key: 'env', value: 'test' }] },
    });
  });

  const terminal = () => {
    const out: string[] = [];
    const input = Object.assign(pipe(''), { isTTY: true });
    return { stdin: input, stdout: { isTTY: true, write: (text: string) => out.push(text) }, out };
  };
  const editor = (script: string): NodeJS.ProcessEnv => {
    const path = join(cwd, 'editor.sh');
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return {
      EDITOR: `${path} --wait`,
      HOLDFAST_URL: service?.url,
      HOLDFAST_KEY: 'k3y',
      PATH: process.env.PATH,
    };
  };

  test('on a terminal $EDITOR opens a YAML file; what it leaves is stored', async () => {
    service = await scriptedService({
      'GET policies/gold': { body: shown },
      'PUT policies/gold': { body: shown },
    });
    const { stdin, stdout } = terminal();
    const env = editor(`sed -i 's/priority: 500/priority: 7/' "$2"`);
    expect((await run(undefined, ['policy', 'edit', 'gold'], { env, stdin, stdout })).code).toBe(0);
    expect(service.seen.at(-1)?.body).toEqual({ ...GOLD, priority: 7 });
    const same = await run(undefined, ['policy', 'edit', 'gold'], { env: editor('true'), stdin, stdout });
    expect([same.code, same.err]).toEqual([0, 'Nothing was changed.\n']);
  });

  test('a text that the service refuses is kept', async () => {
    service = await scriptedService({
      'GET policies/gold': { body: shown },
      'PUT policies/gold': refusal(400, 'invalidInput', '"priority" is not right.', 'priority'),
    });
    const { stdin, stdout } = terminal();
    const env = editor(`sed -i 's/priority: 500/priority: high/' "$2"`);
    const { code, err } = await run(undefined, ['policy', 'edit', 'gold'], { env, stdin, stdout });
    expect(code).toBe(2);
    const [, kept = ''] = /kept in (\S+)/.exec(err) ?? [];
    expect(readFileSync(kept, 'utf8')).toContain('priority: high');
    rmSync(join(kept, '..'), { recursive: true });
  });

  test('without a terminal and without --set it says what to do', async () => {
    service = await scriptedService({ 'GET policies/gold': { body: shown } });
    const { code, err } = await run(service.url, ['policy', 'edit', 'gold']);
    expect([code, err]).toEqual([2, expect.stringContaining('--set path=value')]);
  });

  test('a place that is not there yet is made on the way', () => {
    expect(assign({ a: [1] }, { path: ['b', 'c'], value: 2 })).toEqual({ a: [1], b: { c: 2 } });
    expect(assign({ a: [1, 2, 3] }, { path: ['a', '1'] })).toEqual({ a: [1, 3] });
    expect(assign({ a: [1] }, { path: ['a', '1'], value: 5 })).toEqual({ a: [1, 5] });
  });
});

test('stop names the sessions that were asked to end; delete, enable and disable answer', async () => {
  service = await scriptedService({
    'POST policies/gold/stop': { status: 202, body: { value: [{ id: '06azkc3h3g0000000000' }] } },
    'POST policies/gold/enable': { body: shown },
    'POST policies/gold/disable': { body: { ...shown, enabled: false } },
    'DELETE policies/gold': { status: 204, body: '' },
  });
  expect((await run(service.url, ['policy', 'stop', 'gold', '-o', 'tsv'])).out).toBe(
    '06azkc3h3g0000000000\n',
  );
  expect((await run(service.url, ['policy', 'disable', 'gold'])).out).toMatch(/^ENABLED +no$/m);
  expect((await run(service.url, ['policy', 'enable', 'gold'])).out).toMatch(/^ENABLED +yes$/m);
  expect(await run(service.url, ['policy', 'delete', 'gold'])).toMatchObject({
    code: 0,
    err: expect.stringContaining('Policy gold is removed'),
  });
});
