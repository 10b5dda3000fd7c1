import { expect } from 'vitest';
import { type HoldfastError, isHoldfastError } from '../../lib/model/index.ts';

/** What a call failed with; it says nothing that opens anything. */
export const failure = (promise: Promise<unknown>): Promise<HoldfastError> =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => {
      if (!isHoldfastError(error)) throw error;
      expect(error.message).not.toMatch(/sig=(?!REDACTED)|SECRET/);
      return error;
    },
  );
