import { z } from 'zod';
import { tierSchema } from './prices.ts';

const percent = z.number().min(0).max(100);

/** What is taken for granted where nothing was measured. Given in a request, each may be another. */
export const assumptionsSchema = z.strictObject({
  /** Of a disk's size: how much of it holds data. */
  usedPercent: percent.default(50),
  /** Of the used bytes: how much is written anew in a day. */
  dailyChangePercent: percent.default(3),
  /** Of the bytes that are read: what is stored of them after compression. */
  storedPercent: percent.default(60),
  /** Dead bytes that collection and compaction have not given back yet, in percent of what is needed. */
  deadPercent: z.number().min(0).max(300).default(15),
  /** Of the repositories. */
  tier: tierSchema.default('hot'),
  /** What a worker reads in a second. */
  workerMiBPerSecond: z.number().positive().default(100),
  /** Start and end of a worker, for each backup. */
  workerStartMinutes: z.number().min(0).default(4),
  /** Bytes of a pack. */
  packMiB: z.number().positive().default(16),
  /** When the amounts hold: after so many months, with the points that are kept then. */
  months: z.number().int().min(1).max(24).default(12),
});
export type Assumptions = z.infer<typeof assumptionsSchema>;
