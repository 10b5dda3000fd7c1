import type { z } from 'zod';
import { HoldfastError, type Policy, policySchema } from '../../model/index.ts';

/** Something that is to be said about a policy as it is written. With an error in it, it is not accepted. */
export interface Finding {
  readonly level: 'error' | 'warning';
  /** JSON pointer (RFC 6901) to what it is about; empty: the whole. */
  readonly path: string;
  /** For a person. */
  readonly message: string;
}

export const error = (path: string, message: string): Finding => ({ level: 'error', path, message });
export const warning = (path: string, message: string): Finding => ({ level: 'warning', path, message });
export const isError = ({ level }: Finding): boolean => level === 'error';

export const pointer = (path: readonly PropertyKey[]): string =>
  path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** `/calendar/schedules/0` as `calendar.schedules.0`: how errors of the API name a field. */
const dotted = (path: string): string =>
  path.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~');

/** Reads a document as a policy, with what it leaves out filled in. Each problem has its place; unknown keys are problems. */
export function readPolicy(document: unknown): {
  readonly policy: Policy | null;
  readonly findings: readonly Finding[];
} {
  const parsed = policySchema.safeParse(document);
  if (parsed.success) return { policy: parsed.data, findings: [] };
  return { policy: null, findings: parsed.error.issues.flatMap((issue) => findingsOf(issue)) };
}

type Issue = z.core.$ZodIssue;

function findingsOf(issue: Issue, under: readonly PropertyKey[] = []): Finding[] {
  const path = [...under, ...issue.path];
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => error(pointer([...path, key]), `"${key}" is not known here`));
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // Of the ways in which it could have been written, the one that it comes nearest to.
    const tried = issue.errors.filter((issues) => !issues.some(isOtherKind));
    if (tried[0]) return tried[0].flatMap((inner) => findingsOf(inner, path));
    return [error(pointer(path), 'is none of the forms that are known here')];
  }
  return [error(pointer(path), issue.message)];
}

/** Not even the right kind of thing: another form was meant. */
const isOtherKind = ({ code, path }: Issue): boolean =>
  path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');

/** Throws the first error of several, with the others counted. `invalidInput`. */
export function refuseErrors(findings: readonly Finding[]): void {
  const errors = findings.filter(isError);
  const [first] = errors;
  if (!first) return;
  const more = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`;
  const where = first.path === '' ? 'The policy' : `"${dotted(first.path)}"`;
  throw new HoldfastError('invalidInput', `${where} is not right: ${first.message}${more}.`, {
    target: dotted(first.path),
  });
}
