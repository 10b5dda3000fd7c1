import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { EVENTS, METRICS } from '../../lib/telemetry/catalogue.ts';
import { describe as describeField, PAGE, telemetryPage } from '../../lib/telemetry/page.ts';

describe('the catalogue', () => {
  it('names events and metrics in one style and describes each, and each field, in one line', () => {
    for (const [name, entry] of [...Object.entries(EVENTS), ...Object.entries(METRICS)]) {
      expect(name).toMatch(/^holdfast(\.[a-z][A-Za-z]*)+$/);
      expect(entry.description).toMatch(/^[A-Z][^\n]*\.$/);
      const fields = 'fields' in entry ? entry.fields : entry.attributes;
      for (const [field, schema] of Object.entries(fields.shape)) {
        expect(describeField(schema as z.ZodType), `${name}.${field}`).toMatch(/^[A-Z][^\n]+$/);
      }
    }
  });

  it('refuses a field it does not know', () => {
    const tick = { policies: 1, due: 0, started: 0, lateSeconds: 0 };
    expect(EVENTS['holdfast.scheduler.tick'].fields.safeParse(tick).success).toBe(true);
    expect(EVENTS['holdfast.scheduler.tick'].fields.safeParse({ ...tick, extra: 1 }).success).toBe(false);
  });

  it('is what docs/telemetry.md says (node lib/telemetry/page.ts writes it)', async () => {
    expect(await readFile(PAGE, 'utf8')).toBe(telemetryPage());
  });
});

describe('the OpenTelemetry packages', () => {
  it('@opentelemetry/api is the copy that applicationinsights uses: a newer one drops metrics and spans silently', () => {
    const { resolve } = createRequire(import.meta.filename);
    const theirs = createRequire(resolve('applicationinsights')).resolve('@opentelemetry/api');
    expect(resolve('@opentelemetry/api')).toBe(theirs);
  });
});
