import { InvalidArgumentError } from 'commander';
import { parse } from 'yaml';

/** One change of `policy edit`. */
export interface Assignment {
  /** From the root; numbers of list items too. */
  readonly path: readonly string[];
  /** Absent: take it out. */
  readonly value?: unknown;
}

/** `scope.regions=[westeurope]` or `/scope/regions=[...]`; the value is YAML. The option may be given several times. */
export function assignmentOf(text: string, before: readonly Assignment[] = []): readonly Assignment[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected path=value, as in retention.keep.daily={points: 7}.');
  let value: unknown;
  try {
    value = parse(text.slice(at + 1));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new InvalidArgumentError(`The value is not YAML: ${why}`);
  }
  return [...before, { path: pathOf(text.slice(0, at)), value }];
}

/** `--unset storage.regions.eastus`: back to what is usual. */
export const removalOf = (text: string, before: readonly Assignment[] = []): readonly Assignment[] => [
  ...before,
  { path: pathOf(text) },
];

const pathOf = (text: string): string[] =>
  text.startsWith('/')
    ? text
        .slice(1)
        .split('/')
        .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    : text.split('.');

/** A copy of a document in which a place has another value; what is missing on the way there is made. */
export function assign(document: unknown, { path, ...change }: Assignment): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return change.value;
  const inner = { path: rest, ...change };
  if (Array.isArray(document) && /^\d+$/.test(key)) {
    const list = document as readonly unknown[];
    const index = Number(key);
    if (rest.length === 0 && !('value' in change)) return list.toSpliced(index, 1);
    return list.toSpliced(index, 1, assign(list[index], inner));
  }
  const fields = new Map(typeof document === 'object' && document !== null ? Object.entries(document) : []);
  if (rest.length === 0 && !('value' in change)) fields.delete(key);
  else fields.set(key, assign(fields.get(key), inner));
  return Object.fromEntries(fields);
}
