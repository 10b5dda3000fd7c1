import { InvalidArgumentError, Option } from 'commander';

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
