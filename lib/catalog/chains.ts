import { z } from 'zod';
import {
  type Clock,
  chainIdFor,
  chainIdSchema,
  HoldfastError,
  machineIdSchema,
  sessionIdSchema,
} from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { keyPart } from './keys.ts';
import { contend, Rows } from './rows.ts';

/** The session that may write to a chain, and the durable instance that runs it. */
const chainHolderSchema = z.object({ sessionId: sessionIdSchema, instanceId: z.string() });
export type ChainHolder = z.infer<typeof chainHolderSchema>;

/** The newest committed manifest: its number and its authentication tag (hex). What detects a repository rolled back. */
const chainHeadSchema = z.object({ sequence: z.number().int().positive(), tag: z.string() });
export type ChainHead = z.infer<typeof chainHeadSchema>;

const baseSchema = z.object({ snapshotId: z.string(), familyId: z.string() });
export type Base = z.infer<typeof baseSchema>;

const chainSchema = z.object({
  repositoryId: z.string(),
  machineId: machineIdSchema,
  chainId: chainIdSchema,
  /** How often the chain changed hands. A writer of an older epoch has lost it. */
  epoch: z.number().int().nonnegative(),
  holder: chainHolderSchema.nullable(),
  /** Null before the first commit. */
  head: chainHeadSchema.nullable(),
  /** By the disk's `uniqueId`: the snapshot that the head names, from which the next backup lists changes. Never removed. */
  bases: z.record(z.string(), baseSchema),
  updatedAt: z.iso.datetime(),
});
export type Chain = z.infer<typeof chainSchema>;

export interface ChainKey {
  readonly repositoryId: string;
  readonly machineId: string;
}

/** Whoever writes shows both: a session that lost the chain and did not notice changes nothing any more. */
export interface ChainOwner {
  readonly sessionId: string;
  readonly epoch: number;
}

export type TakeAnswer =
  | { readonly taken: true; readonly chain: Chain }
  | { readonly taken: false; readonly holder: ChainHolder };

/** The chain that each machine has in a repository: who may write it, where its head is, which snapshots it stands on. */
export class Chains {
  readonly #rows: Rows<Chain>;
  readonly #clock: Clock;

  constructor(table: EntityTable, clock: Clock) {
    this.#rows = new Rows(table, chainSchema);
    this.#clock = clock;
  }

  async get(key: ChainKey): Promise<Chain | null> {
    return (await this.#rows.get(...name(key)))?.value ?? null;
  }

  /** All chains of a repository; of all repositories without one. */
  async list(repositoryId?: string): Promise<Chain[]> {
    const range = repositoryId === undefined ? {} : { partition: keyPart(repositoryId) };
    return this.#rows.values(range);
  }

  /**
   * Takes the chain for a session: a free one, or one whose holder is not live any more, under the next epoch. The holder
   * itself gets it again, under the same epoch. The first session of a machine founds its chain, under the id `chainIdFor`.
   * `isLive` is asked only about another holder, and may be asked more than once.
   */
  take(
    key: ChainKey,
    session: ChainHolder,
    isLive: (holder: ChainHolder) => Promise<boolean>,
  ): Promise<TakeAnswer> {
    return contend(`the chain of ${key.machineId}`, async () => {
      const current = await this.#rows.get(...name(key));
      if (!current) {
        const chain = { ...this.#fresh(key, chainIdFor(session.sessionId, key.machineId)), epoch: 1 };
        return {
          taken: true,
          chain: (await this.#rows.insert(...name(key), { ...chain, holder: session })).value,
        };
      }
      const { value, etag } = current;
      if (value.holder) {
        if (sameHolder(value.holder, session)) return { taken: true, chain: value };
        if (await isLive(value.holder)) return { taken: false, holder: value.holder };
      }
      const next = { ...value, epoch: value.epoch + 1, holder: session, updatedAt: this.#now() };
      return { taken: true, chain: (await this.#rows.replace(...name(key), next, etag)).value };
    });
  }

  /** Gives the chain back. Whoever does not hold it in that epoch changes nothing; true if this call freed it. */
  async release(key: ChainKey, owner: ChainOwner): Promise<boolean> {
    let freed = false;
    const current = await this.get(key);
    if (!current) return false;
    await this.#rows.update(...name(key), (chain) => {
      freed = holds(chain, owner);
      return freed ? { ...chain, holder: null, updatedAt: this.#now() } : chain;
    });
    return freed;
  }

  /**
   * Remembers a committed manifest and the snapshots it names. `notOwner` unless the owner holds the chain. A head never
   * goes back: an older one is ignored, and another tag for the same number is `repositoryMismatch`.
   */
  advance(
    key: ChainKey,
    owner: ChainOwner,
    head: ChainHead,
    bases: Readonly<Record<string, Base>>,
  ): Promise<Chain> {
    return this.#rows.update(...name(key), (chain) => {
      if (!holds(chain, owner)) throw lost(chain, owner);
      if (chain.head && chain.head.sequence > head.sequence) return chain;
      if (chain.head?.sequence === head.sequence && chain.head.tag !== head.tag) {
        throw new HoldfastError(
          'repositoryMismatch',
          `Restore point ${chain.chainId}/${head.sequence} is not the one that was committed: the repository was replaced or altered.`,
          { target: `${chain.chainId}/${head.sequence}` },
        );
      }
      return { ...chain, head, bases: { ...bases }, updatedAt: this.#now() };
    });
  }

  /** Begins a new chain under the same owner (new repository, corrupt metadata, operator's request). Repeated: unchanged. */
  restart(key: ChainKey, owner: ChainOwner): Promise<Chain> {
    const chainId = chainIdFor(owner.sessionId, key.machineId);
    return this.#rows.update(...name(key), (chain) => {
      if (!holds(chain, owner)) throw lost(chain, owner);
      return chain.chainId === chainId
        ? chain
        : { ...chain, chainId, head: null, bases: {}, updatedAt: this.#now() };
    });
  }

  /** Makes the row of a chain that the repository has and the catalog does not know. A row that is there stays. */
  adopt(key: ChainKey, chainId: string): Promise<Chain> {
    return contend(`the chain of ${key.machineId}`, async () => {
      const current = await this.get(key);
      return current ?? (await this.#rows.insert(...name(key), this.#fresh(key, chainId))).value;
    });
  }

  /**
   * Sets what the repository says of a chain: after a rescan. A chain that a session holds stays as it is, and so does the
   * epoch: it must never come back.
   */
  rebuild(
    key: ChainKey,
    found: {
      readonly chainId: string;
      readonly head: ChainHead | null;
      readonly bases: Readonly<Record<string, Base>>;
    },
  ): Promise<Chain> {
    const { chainId, bases } = found;
    const head = found.head && { sequence: found.head.sequence, tag: found.head.tag };
    return contend(`the chain of ${key.machineId}`, async () => {
      const current = await this.#rows.get(...name(key));
      const rest = { chainId, head, bases: { ...bases }, updatedAt: this.#now() };
      if (!current)
        return (await this.#rows.insert(...name(key), { ...this.#fresh(key, chainId), ...rest })).value;
      if (current.value.holder) return current.value;
      return (await this.#rows.replace(...name(key), { ...current.value, ...rest }, current.etag)).value;
    });
  }

  /** A chain without a restore point stands on no snapshot. One that a session holds, and one that went on, stay as they are. */
  async dropBases(key: ChainKey, chainId: string): Promise<void> {
    if (!(await this.get(key))) return;
    await this.#rows.update(...name(key), (chain) =>
      chain.holder || chain.chainId !== chainId || Object.keys(chain.bases).length === 0
        ? chain
        : { ...chain, bases: {}, updatedAt: this.#now() },
    );
  }

  /** Forgets the chains of a repository that is not the installation's any more. `conflict` while a session holds one. */
  async forgetRepository(repositoryId: string): Promise<void> {
    const chains = await this.list(repositoryId);
    const held = chains.find(({ holder }) => holder !== null);
    if (held) {
      throw new HoldfastError(
        'conflict',
        `The chain of machine ${held.machineId} is held by session ${held.holder?.sessionId}. Wait for it, or cancel it.`,
        { target: held.holder?.sessionId ?? held.chainId },
      );
    }
    for (const chain of chains) await this.#rows.remove(...name(chain));
  }

  /** ARM ids (lower case) of the snapshots that no retention may remove: the union over all chains of all repositories. */
  async protectedSnapshots(): Promise<ReadonlySet<string>> {
    const chains = await this.list();
    return new Set(
      chains.flatMap(({ bases }) => Object.values(bases).map(({ snapshotId }) => snapshotId.toLowerCase())),
    );
  }

  #fresh(key: ChainKey, chainId: string): Chain {
    const { repositoryId, machineId } = key;
    return {
      repositoryId,
      machineId,
      chainId,
      epoch: 0,
      holder: null,
      head: null,
      bases: {},
      updatedAt: this.#now(),
    };
  }

  #now(): string {
    return this.#clock.now().toISOString();
  }
}

const name = ({ repositoryId, machineId }: ChainKey): [string, string] => [
  keyPart(repositoryId),
  keyPart(machineId),
];

const sameHolder = (a: ChainHolder, b: ChainHolder): boolean =>
  a.sessionId === b.sessionId && a.instanceId === b.instanceId;

const holds = (chain: Chain, { sessionId, epoch }: ChainOwner): boolean =>
  chain.holder?.sessionId === sessionId && chain.epoch === epoch;

const lost = ({ machineId, chainId, epoch }: Chain, owner: ChainOwner): HoldfastError =>
  new HoldfastError(
    'notOwner',
    `Session ${owner.sessionId} lost the chain of machine ${machineId}: it is in epoch ${epoch}, the session had ${owner.epoch}.`,
    { target: chainId },
  );
