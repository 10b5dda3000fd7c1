import { HoldfastError } from '../model/index.ts';

/** The object is there but is not what was written under this name. Its name is the error's target. */
export const corruptObject = (name: string, what: string, cause?: unknown): HoldfastError =>
  new HoldfastError(
    'corruptObject',
    `The object ${name} is damaged: ${what}. Check the repository to learn which restore points are affected.`,
    { target: name, cause },
  );

export const missingObject = (name: string, where: string): HoldfastError =>
  new HoldfastError('missingObject', `The object ${name} is missing from ${where}.`, { target: name });

/** Runs a decoder of authenticated bytes of `name`; anything it throws means that the object is damaged. */
export function decoding<T>(name: string, what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw corruptObject(
      name,
      `${what} cannot be read (${error instanceof Error ? error.message : 'malformed'})`,
      error,
    );
  }
}
