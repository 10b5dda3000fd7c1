/** Writes docs/telemetry.md from the catalogue: `node lib/telemetry/page.ts`. A test holds the page to this. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { EVENTS, METRICS } from './catalogue.ts';

export const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'telemetry.md');

/** What a reader calls the type of a field; enumerations are listed in full. */
function typeName(schema: z.core.$ZodType): string {
  const { def } = schema._zod;
  switch (def.type) {
    case 'optional':
    case 'nullable':
      return typeName((def as z.core.$ZodOptionalDef | z.core.$ZodNullableDef).innerType);
    case 'enum':
      return Object.values((def as z.core.$ZodEnumDef).entries)
        .map((value) => `\`${value}\``)
        .join(', ');
    case 'array':
      return 'list, joined by commas';
    case 'number':
      return 'number';
    default:
      return 'text';
  }
}

/** The description of a field, which an optional one keeps on what it wraps. */
export function describe(field: z.ZodType): string {
  const { def } = field._zod;
  if (field.description !== undefined) return field.description;
  return 'innerType' in def ? describe(def.innerType as z.ZodType) : '';
}

function rows(fields: z.ZodObject): string[] {
  return Object.entries(fields.shape).map(([name, schema]) => {
    const field = schema as z.ZodType;
    return `| \`${name}\`${field.isOptional() ? ' (optional)' : ''} | ${typeName(field)} | ${describe(field)} |`;
  });
}

/** The page, in Markdown. */
export function telemetryPage(): string {
  const lines = [
    '# Telemetry',
    '',
    'What Holdfast sends to Application Insights. Generated from `lib/telemetry/catalogue.ts` by',
    '`node lib/telemetry/page.ts`; change it there.',
    '',
    '## Events',
    '',
    'Rows of the table `AppEvents` (`customEvents` in the classic view): one row is one fact. The fields are in',
    '`Properties`, all as text: `todouble(Properties.bytesRead)`. An activity that runs twice may say the same fact',
    'twice: count sessions with `dcount(tostring(Properties.sessionId))`. A field `schemaError` marks an event that does',
    'not fit this page; it is a fault of Holdfast.',
  ];
  for (const [name, { description, fields }] of Object.entries(EVENTS)) {
    lines.push(
      '',
      `### ${name}`,
      '',
      description,
      '',
      '| Field | Type | What |',
      '| --- | --- | --- |',
      ...rows(fields),
    );
  }
  lines.push(
    '',
    '## Metrics',
    '',
    'Rows of `AppMetrics`; counters and histograms are deltas, so sums over time are right.',
  );
  for (const [name, { description, instrument, unit, attributes }] of Object.entries(METRICS)) {
    lines.push(
      '',
      `### ${name}`,
      '',
      `${description} A ${instrument}, in ${unit === 's' ? 'seconds' : 'bytes'}.`,
    );
    lines.push('', '| Attribute | Type | What |', '| --- | --- | --- |', ...rows(attributes));
  }
  return `${lines.join('\n')}\n`;
}

if (import.meta.main) await writeFile(PAGE, telemetryPage());
