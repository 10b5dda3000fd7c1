import { z } from 'zod';

const price = z.number().nonnegative();

/** Stands for every region (or size) that a table does not name. */
export const ANY = '*';

export const TIERS = ['hot', 'cool', 'cold'] as const;
export const tierSchema = z.enum(TIERS);
export type Tier = z.infer<typeof tierSchema>;

const needsAny = <T>(record: Readonly<Record<string, T>>): boolean => record[ANY] !== undefined;

const regionPricesSchema = z.strictObject({
  /** A GiB of a managed disk's snapshot for a month. */
  snapshotGiBMonth: z.strictObject({ locallyRedundant: price, zoneRedundant: price }),
  /** A GiB of block blobs for a month, by access tier. */
  blobGiBMonth: z.record(tierSchema, price),
  /** 10,000 operations on blobs, by access tier; a list costs what a write does. */
  operations10k: z.record(tierSchema, z.strictObject({ write: price, read: price })),
  /** An hour of a worker's size, its disk included. */
  workerHour: z.record(z.string().min(1), price).refine(needsAny, `wants a price for "${ANY}"`),
});
export type RegionPrices = z.infer<typeof regionPricesSchema>;

/** Prices of one provider in one currency, as somebody found them on one day. */
export const priceTableSchema = z.strictObject({
  schemaVersion: z.literal(1).default(1),
  name: z.string().min(1).max(100),
  /** The day on which the prices held. */
  asOf: z.iso.date(),
  /** For people: where they come from, and what they leave out. */
  note: z.string().max(1000).default(''),
  currency: z.string().regex(/^[A-Z]{3}$/, 'a currency of three letters, such as USD'),
  /** By name of the region (`westeurope`); `*`: every other one. */
  regions: z.record(z.string().min(1), regionPricesSchema).refine(needsAny, `wants prices for "${ANY}"`),
  /** A GiB from one region to another, by the part of the world that both are in. */
  traffic: z.strictObject({
    /** Which part of the world a region is in. */
    areas: z.record(z.string().min(1), z.string().min(1)),
    /** Between regions of one area; `*`: of any that is not named. */
    within: z.record(z.string().min(1), price).refine(needsAny, `wants a price for "${ANY}"`),
    /** Between areas, and from or to a region whose area is not known. */
    between: price,
  }),
});
export type PriceTable = z.infer<typeof priceTableSchema>;

/** `West Europe` and `westeurope` are one region. */
export const regionKey = (region: string): string => region.toLowerCase().replaceAll(' ', '');

/** The prices of a region, and whether the table names it. */
export function pricesIn(table: PriceTable, region: string): { prices: RegionPrices; named: boolean } {
  const own = table.regions[regionKey(region)];
  const prices = own ?? table.regions[ANY];
  if (!prices) throw new RangeError(`a price table without "${ANY}"`);
  return { prices, named: own !== undefined };
}

/** A GiB from one region to another; nothing within a region. */
export function trafficPrice({ traffic }: PriceTable, from: string, to: string): number {
  if (regionKey(from) === regionKey(to)) return 0;
  const area = traffic.areas[regionKey(from)];
  if (area === undefined || area !== traffic.areas[regionKey(to)]) return traffic.between;
  return traffic.within[area] ?? traffic.within[ANY] ?? traffic.between;
}

/** An hour of the first size that the table names, else of any. */
export function workerPrice({ workerHour }: RegionPrices, sizes: readonly string[]): number {
  const named = sizes.map((size) => workerHour[size]).find((hour) => hour !== undefined);
  return named ?? workerHour[ANY] ?? 0;
}
