import { HoldfastError } from '../../model/index.ts';
import type { Chain } from '../chain.ts';
import { OWNER } from '../names.ts';
import { readOwner } from '../owner.ts';
import { createLease, releaseLease, renewLease } from './lease.ts';

/** A plan that is older is made anew: by the store's clock. */
export const PLAN_EXPIRES_MS = 6 * 60 * 60 * 1000;

/** What a plan was made under. */
export interface Planned {
  readonly chain: string;
  readonly plannedAt: string;
  readonly owner: { readonly installation: string; readonly counter: number } | null;
}

/**
 * Stands before each batch of deletions: the repository still belongs to the installation that planned, under the same counter,
 * and the collector's own lease is in force, which means that it did not sleep for an hour. What slips through (it sleeps inside
 * a batch) does no harm: what was garbage stays garbage.
 */
export class Fence {
  readonly #chain: Chain;
  readonly #plan: Planned;
  readonly #installation: string;
  readonly #lease: string;

  private constructor(chain: Chain, plan: Planned, installation: string, lease: string) {
    this.#chain = chain;
    this.#plan = plan;
    this.#installation = installation;
    this.#lease = lease;
  }

  static async enter(
    chain: Chain,
    plan: Planned,
    { installation, by }: { installation: string; by: string },
  ): Promise<Fence> {
    if (plan.chain !== chain.id)
      throw refuse('invalidInput', chain, `the plan is for the chain ${plan.chain}`);
    const lease = { kind: 'collector', chain: chain.id, sequence: null, by } as const;
    const { name } = await createLease(chain.repository, lease);
    const fence = new Fence(chain, plan, installation, name);
    try {
      await fence.check();
    } catch (error) {
      await fence.leave();
      throw error;
    }
    return fence;
  }

  /** `notOwner`, `claimLost` (the lease), `conflict` (the plan is too old). */
  async check(): Promise<void> {
    const { owner, plannedAt } = this.#plan;
    const now = await readOwner(this.#chain.repository);
    if (!now || now.installation !== this.#installation || owner?.installation !== this.#installation) {
      const who = now ? `installation ${now.installation}` : 'nobody';
      throw new HoldfastError(
        'notOwner',
        `The repository in ${this.#chain.repository.meta.name} belongs to ${who}: nothing was removed. Take it over explicitly, then plan again.`,
        { target: OWNER },
      );
    }
    if (now.counter !== owner.counter)
      throw refuse('notOwner', this.#chain, 'the repository had another owner since it was planned');
    const { renewedAt } = await renewLease(this.#chain.repository, this.#lease);
    if (renewedAt.getTime() - Date.parse(plannedAt) >= PLAN_EXPIRES_MS)
      throw refuse('conflict', this.#chain, `its plan is of ${plannedAt}`);
  }

  async leave(): Promise<void> {
    await releaseLease(this.#chain.repository, this.#lease);
  }
}

const refuse = (code: 'invalidInput' | 'notOwner' | 'conflict', chain: Chain, why: string): HoldfastError =>
  new HoldfastError(code, `Collection of chain ${chain.id} was stopped: ${why}. Plan again.`, {
    target: chain.id,
  });
