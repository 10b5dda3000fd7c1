/** Request bodies: parsed at the border, refused with ARM's words. */
import type * as z from 'zod';
import { ArmError } from '../errors.ts';

/** The body as `schema` says, or 400 InvalidRequestContent / InvalidParameter naming the first thing that is wrong. */
export function parseBody<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  if (body === undefined) {
    throw new ArmError(
      400,
      'InvalidRequestContent',
      'The request content was invalid and could not be deserialized: the body is missing.',
    );
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const target = issue?.path.join('.') ?? '';
  throw new ArmError(
    400,
    'InvalidParameter',
    `The value of parameter ${target || 'body'} is invalid: ${issue?.message ?? 'malformed'}.`,
    { target },
  );
}

/** A name of a compute resource: 1 to 80 characters of `A-Z a-z 0-9 _ . -`, ending in a letter, digit or `_`. */
export function checkName(name: string, target: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$/.test(name) && /[A-Za-z0-9_]$/.test(name)) return;
  throw new ArmError(
    400,
    'InvalidParameter',
    `The name '${name.slice(0, 100)}' of parameter ${target} is invalid: 1 to 80 letters, digits, '_', '.' and '-'.`,
    { target },
  );
}
