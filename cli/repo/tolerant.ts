import { isHoldfastError } from '../../lib/model/index.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exitCodes.ts';

/** Damage that a step meets is told, makes the exit code 5, and does not end the command. */
export async function tolerant<T>(context: Context, step: () => Promise<T>): Promise<T | null> {
  try {
    return await step();
  } catch (error) {
    if (!isHoldfastError(error, 'corruptObject') && !isHoldfastError(error, 'missingObject')) throw error;
    context.exitCode = EXIT.partly;
    context.stderr.write(`holdfast: ${error.message}\n`);
    return null;
  }
}
