import { CrashPlan } from '../datapath/faultyStore.ts';
import { PausePlan, type World } from './modelWorld.ts';

/** False: there was nothing to do it to. */
export type Step = (world: World, nested: Nested) => Promise<boolean | void>;
/** Runs other steps in the middle of this one. */
export type Nested = () => Promise<void>;

export const noNested: Nested = () => Promise.resolve();

/** About how many calls of stores each takes: a process dies, or pauses, at any of them. */
export const CALLS = { session: 70, collection: 60, mark: 60 };

export const crashing = ({ dice }: World, calls: number): CrashPlan =>
  new CrashPlan(1 + dice.int(calls), dice.chance(0.5) ? 'before' : 'after');

export const pausing = ({ dice }: World, calls: number, nested: Nested): PausePlan =>
  new PausePlan(1 + dice.int(calls), nested);
