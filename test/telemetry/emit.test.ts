import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventFields } from '../../lib/telemetry/catalogue.ts';
import { flatten, sessionCompleted, silent } from '../../lib/telemetry/emit.ts';
import { jsonLines } from '../../lib/telemetry/jsonLines.ts';
import { MemoryTelemetry } from '../../lib/telemetry/memory.ts';

const completed: EventFields<'holdfast.session.completed'> = {
  sessionId: 's-1',
  kind: 'backup',
  machineId: 'm-1',
  outcome: 'succeeded',
  readReasons: ['first', 'changedBlocks'],
  bytesRead: 10,
  bytesStored: 0,
  durationSeconds: 3,
};

describe('the end of a session', () => {
  it('is one event, and the metrics that agree with it; nothing moved is no measurement', () => {
    const telemetry = new MemoryTelemetry();
    sessionCompleted(telemetry, completed);
    expect(telemetry.events).toEqual([{ name: 'holdfast.session.completed', fields: completed }]);
    expect(telemetry.metrics).toEqual([
      {
        name: 'holdfast.session.duration',
        value: 3,
        attributes: { kind: 'backup', outcome: 'succeeded' },
      },
      { name: 'holdfast.io.read', value: 10, attributes: { kind: 'backup' } },
    ]);
    expect(telemetry.of('holdfast.session.completed')).toEqual([completed]);
    expect(telemetry.of('holdfast.session.started')).toEqual([]);
  });
});

describe('a field that does not fit the catalogue', () => {
  const wrong = { ...completed, bytesRead: -1, machineId: 'secret sig=abcdef' };

  it('fails a test', () => {
    expect(() => new MemoryTelemetry().event('holdfast.session.completed', wrong)).toThrow(
      'holdfast.session.completed does not fit the catalogue: bytesRead: too_small',
    );
  });

  it('is sent all the same in production, marked, with no value repeated in the mark', () => {
    expect(flatten('holdfast.session.completed', wrong)).toEqual({
      ...completed,
      readReasons: 'first,changedBlocks',
      bytesRead: -1,
      machineId: 'secret sig=REDACTED',
      schemaError: 'bytesRead: too_small',
    });
  });
});

describe('JSON lines', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-lines-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('appends one object for each event and measurement, and has them on disk after flush', async () => {
    const file = join(folder, 'telemetry.jsonl');
    for (const sessionId of ['s-1', 's-2']) {
      const telemetry = jsonLines(file, () => 0);
      telemetry.event('holdfast.session.started', { sessionId, kind: 'backup', machineId: 'm?sig=abcdef' });
      telemetry.metric('holdfast.io.read', 5, { kind: 'backup' });
      await telemetry.flush();
    }
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    const time = '1970-01-01T00:00:00.000Z';
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      ['s-1', 's-2'].flatMap((sessionId) => [
        {
          time,
          event: 'holdfast.session.started',
          sessionId,
          kind: 'backup',
          machineId: 'm?sig=REDACTED',
        },
        { time, metric: 'holdfast.io.read', value: 5, kind: 'backup' },
      ]),
    );
  });

  it('writes to a stream it is given', async () => {
    const stream = new PassThrough();
    const telemetry = jsonLines(stream, () => 0);
    telemetry.metric('holdfast.io.stored', 7, { kind: 'restore' });
    await telemetry.flush();
    stream.end();
    expect(await text(stream)).toBe(
      '{"time":"1970-01-01T00:00:00.000Z","metric":"holdfast.io.stored","value":7,"kind":"restore"}\n',
    );
  });

  it('gives up a file that cannot be written, and fails nobody', async () => {
    const telemetry = jsonLines(join(folder, 'absent', 'telemetry.jsonl'));
    telemetry.event('holdfast.session.started', { sessionId: 's-1', kind: 'backup' });
    await telemetry.flush();
    telemetry.event('holdfast.session.started', { sessionId: 's-2', kind: 'backup' });
    await expect(telemetry.flush()).resolves.toBeUndefined();
  });
});

describe('silence', () => {
  it('takes everything and says nothing', async () => {
    sessionCompleted(silent, completed);
    await expect(silent.flush()).resolves.toBeUndefined();
  });
});
