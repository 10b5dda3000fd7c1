import { z } from 'zod';
import { isHoldfastError } from '../model/index.ts';
import { createOnce, KIND, openWhole, sealWhole } from '../repository/index.ts';
import { type PlanAt, writtenTwice } from './planFile.ts';

const checkpointSchema = z.object({
  /** Staging object with the state. */
  state: z.string(),
  /** The attempt that the shard's objects are named by. */
  attempt: z.number().int().positive(),
});

/** Where a move goes on: what is stored already, and the attempt that its objects are named by. */
export interface MoveState {
  readonly attempt: number;
  /** From `ShardPages.encode`; null for a beginning. */
  readonly bytes: Buffer | null;
}

/** The shard, and who works on it. */
export interface MoveAttempt {
  readonly sequence: number;
  readonly disk: number;
  readonly shard: number;
  readonly attempt: number;
}

const binding = (at: PlanAt, name: string) => ({ kind: KIND.planWindow, chain: at.chain, name });

const stateName = (chain: string, { sequence, disk, shard, attempt }: MoveAttempt, number: number): string =>
  `plans/${chain}/${String(sequence).padStart(8, '0')}/${String(disk).padStart(4, '0')}-${String(attempt).padStart(3, '0')}.s${String(shard).padStart(6, '0')}-${number}.moved`;

/** What the last attempt left; a beginning where it left nothing, or nothing that is there any more. */
export async function readMoveState(at: PlanAt, checkpoint: unknown, attempt: number): Promise<MoveState> {
  const saved = checkpointSchema.safeParse(checkpoint);
  if (!saved.success) return { attempt, bytes: null };
  try {
    const { bytes } = await at.staging.read(saved.data.state, undefined, { signal: at.signal });
    return {
      attempt: saved.data.attempt,
      bytes: openWhole(at.keys.seal, binding(at, saved.data.state), bytes),
    };
  } catch (error) {
    if (!isHoldfastError(error, 'missingObject')) throw error;
    return { attempt, bytes: null };
  }
}

/** Keeps a state in staging; returns the checkpoint that names it. */
export async function writeMoveState(
  at: PlanAt,
  by: MoveAttempt,
  number: number,
  state: { attempt: number; bytes: Buffer },
): Promise<z.infer<typeof checkpointSchema>> {
  const name = stateName(at.chain, by, number);
  const { bytes } = sealWhole(at.keys.seal, binding(at, name), state.bytes);
  if ((await createOnce(at.staging, name, bytes, at.signal)) === 'taken') throw writtenTwice(name);
  return { state: name, attempt: state.attempt };
}
