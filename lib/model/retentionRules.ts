import { z } from 'zod';
import { FLAGS, flagSchema, timeZoneSchema } from './calendar.ts';

const amount = z.number().int().positive();

const timeRuleShape = {
  days: amount.max(36_135).optional(),
  weeks: amount.max(5162).optional(),
  months: amount.max(1188).optional(),
  years: amount.max(99).optional(),
};

const exactlyOne = (rule: object): boolean =>
  Object.values(rule).filter((value) => value !== undefined).length === 1;

/** For how long: `{ days: 14 }`, `{ weeks: 5 }`, `{ months: 12 }` or `{ years: 7 }`, in calendar terms of a time zone. */
export const timeRuleSchema = z
  .strictObject(timeRuleShape)
  .refine(exactlyOne, 'one of days, weeks, months and years');
export type TimeRule = z.infer<typeof timeRuleSchema>;

/** How long a flag stays on: a time, or `{ points: 3 }`, while it is among the newest three that carry the flag. */
export const keepRuleSchema = z
  .strictObject({ ...timeRuleShape, points: amount.max(10_000).optional() })
  .refine(exactlyOne, 'one of points, days, weeks, months and years');
export type KeepRule = z.infer<typeof keepRuleSchema>;

/** One rule per flag. A flag without a rule keeps nothing by itself. */
export const flagRulesSchema = z.partialRecord(flagSchema, keepRuleSchema);
export type FlagRules = z.infer<typeof flagRulesSchema>;

/** Retention of restore points: of a policy, or as written into a point for the time when no policy speaks for it. */
export const retentionRulesSchema = z.strictObject({
  keep: flagRulesSchema,
  /** The newest restore point of a chain stays, however old. */
  keepLast: z.boolean().default(true),
  /** Where days, months and years are counted. */
  timeZone: timeZoneSchema.default('UTC'),
});
export type RetentionRules = z.infer<typeof retentionRulesSchema>;

/** Retention of snapshots. The base of the next incremental and the newest set stay whatever it says. */
export const snapshotRulesSchema = z.strictObject({
  keep: flagRulesSchema,
  timeZone: timeZoneSchema.default('UTC'),
  /** No snapshot of a policy gets older than this, whatever its flags say. */
  obsoleteAfter: timeRuleSchema.nullable().default(null),
});
export type SnapshotRules = z.infer<typeof snapshotRulesSchema>;

/** A person's word that a restore point or snapshot stays, whatever retention says. */
export const holdSchema = z.strictObject({
  by: z.string().min(1),
  reason: z.string().min(1),
  /** Null: until it is taken off. */
  until: z.iso.datetime().nullable().default(null),
});
export type Hold = z.infer<typeof holdSchema>;

/** Retention facts that a restore point carries with it, so that it can expire without its policy. */
export const pointRetentionSchema = z.strictObject({
  /** Flags that are still on, in the order of `FLAGS`. */
  flags: z.array(flagSchema).max(FLAGS.length),
  rules: retentionRulesSchema.nullable(),
  hold: holdSchema.nullable().default(null),
  /** Of a point made on demand: kept until then, beside its flags. */
  expiresAt: z.iso.datetime().nullable().default(null),
});
export type PointRetention = z.infer<typeof pointRetentionSchema>;

/** What a manifest carries of it, and a point's state overrides. A hold is never part of a manifest. */
export const carriedRetentionSchema = pointRetentionSchema.omit({ hold: true });
export type CarriedRetention = z.infer<typeof carriedRetentionSchema>;
