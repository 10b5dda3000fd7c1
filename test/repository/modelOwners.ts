/** The repository changes hands, and the catalog is made again. */
import { isHoldfastError } from '../../lib/model/index.ts';
import { assertOwner, takeOwnership } from '../../lib/repository/index.ts';
import { checkRescan } from './modelChecks.ts';
import { type Step } from './modelStep.ts';

export const takeOver: Step = async (world) => {
  const old = world.owner;
  const term = world.terms.get(old) ?? 0;
  const next = old === 'one' ? 'other' : 'one';
  const { repository } = world.chain;
  const refused = await takeOwnership(repository, { installation: next, now: world.time.at }).catch(
    (failed: unknown) => failed,
  );
  if (!isHoldfastError(refused, 'notOwner')) throw new Error('a repository was taken without a word');
  await world.takeOver(next);
  const fencedOff = await assertOwner(repository, { installation: old, counter: term }).catch(
    (failed: unknown) => failed,
  );
  if (!isHoldfastError(fencedOff, 'notOwner')) throw new Error('the old owner is not fenced');
};

export const catalogAnew: Step = (world) => checkRescan(world);
