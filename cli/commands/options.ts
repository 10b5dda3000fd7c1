import { InvalidArgumentError, Option } from 'commander';
import type { Clock } from '../../lib/model/index.ts';

/** An option that takes one of some words. */
export const choice = (flags: string, description: string, words: readonly string[]): Option =>
  new Option(flags, description).choices([...words]);

/** A whole number from 1. */
export function count(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('Expected a whole number from 1.');
  return n;
}

/** The numbers of disks: the option may be given several times, or hold several, as in `0,2`. */
export function diskNumbers(text: string, before: readonly number[] = []): number[] {
  const numbers = text.split(',').map(Number);
  if (text.trim() === '' || numbers.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new InvalidArgumentError('Expected numbers of disks, as "holdfast point list -o json" shows them.');
  }
  return [...new Set([...before, ...numbers])];
}

/** The name of a restore point: `<chain>/<sequence>`. */
export function pointName(text: string): string {
  if (!/^[0-9a-z]+\/[1-9][0-9]*$/.test(text)) {
    throw new InvalidArgumentError(
      'A restore point is named <chain>/<sequence>; "holdfast point list" and "holdfast repo ls" show them.',
    );
  }
  return text;
}

/** Some of the words, as in `daily,monthly`. */
export const words =
  (known: readonly string[]) =>
  (text: string): string[] => {
    const given = [...new Set(text.split(',').map((word) => word.trim()))];
    const unknown = given.find((word) => !known.includes(word));
    if (unknown === undefined) return given;
    throw new InvalidArgumentError(`"${unknown}" is none of ${known.join(', ')}.`);
  };

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3600_000, d: 24 * 3600_000 };

/** A time to come, as ISO 8601 in UTC: given so, or as the time from now, as in `12h` or `30d`. */
export const laterTime =
  (clock: Clock) =>
  (text: string): string => {
    const [, amount, unit] = /^([1-9][0-9]{0,4})([mhd])$/.exec(text) ?? [];
    const at = amount
      ? clock.now().getTime() + Number(amount) * (UNITS[unit ?? ''] ?? 0)
      : /^\d{4}-\d{2}-\d{2}/.test(text)
        ? Date.parse(text)
        : Number.NaN;
    if (Number.isNaN(at)) throw new InvalidArgumentError('Expected a time in ISO 8601, or as in 12h or 30d.');
    if (at <= clock.now().getTime()) throw new InvalidArgumentError('That time is over already.');
    return new Date(at).toISOString();
  };

/** `name=value`; the option may be given several times. */
export function tagOf(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=value.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
