import { HoldfastError, isHoldfastError } from '../../lib/model/index.ts';
import {
  type Chain,
  decidedSequences,
  inOrder,
  listChains,
  openChain,
  type PointManifest,
  type Repository,
  readManifest,
  readPoint,
  type SizedTask,
} from '../../lib/repository/index.ts';

const READS_AT_ONCE = { bytes: 16, tasks: 16 };

export interface ChainPoints {
  readonly chain: Chain;
  readonly points: readonly PointManifest[];
}

/** All chains with their points, ascending. What is damaged is told to `onDamage`, and the rest goes on. */
export async function* readChains(
  repository: Repository,
  onDamage: (error: HoldfastError) => void,
  signal: AbortSignal,
): AsyncIterable<ChainPoints> {
  const tell = (error: unknown): null => {
    if (!isHoldfastError(error, 'corruptObject') && !isHoldfastError(error, 'missingObject')) throw error;
    onDamage(error);
    return null;
  };
  for await (const id of listChains(repository, signal)) {
    const chain = await openChain(repository, id).catch(tell);
    if (!chain) continue;
    const points: PointManifest[] = [];
    const reads = (await decidedSequences(chain)).map((sequence) => ({
      bytes: 1,
      run: () => readManifest(chain, sequence).catch(tell),
    }));
    for await (const stored of inOrder(streamed(reads), READS_AT_ONCE, signal)) {
      if (stored?.manifest.state === 'point') points.push(stored.manifest);
    }
    yield { chain, points };
  }
}

async function* streamed<T>(tasks: readonly SizedTask<T>[]): AsyncIterable<SizedTask<T>> {
  yield* tasks;
}

/** The restore point that `<chain>/<sequence>` names. `notFound` when there is none. */
export async function findPoint(
  repository: Repository,
  name: string,
): Promise<{ chain: Chain; manifest: PointManifest }> {
  const [id = '', sequence = ''] = name.split('/');
  const absent = (what: string) =>
    new HoldfastError('notFound', `${what} "holdfast repo ls" shows what there is.`, { target: name });
  let found = false;
  for await (const chain of listChains(repository)) found ||= chain === id;
  if (!found) throw absent(`There is no chain ${id} in ${repository.meta.name}.`);
  const chain = await openChain(repository, id);
  if (!(await decidedSequences(chain)).includes(Number(sequence)))
    throw absent(`The chain ${id} of ${chain.machine.name} has no restore point ${sequence}.`);
  const stored = await readManifest(chain, Number(sequence));
  if (stored?.manifest.state === 'void')
    throw absent(`The restore point ${name} of ${chain.machine.name} was ${stored.manifest.reason}.`);
  return { chain, manifest: (await readPoint(chain, Number(sequence))).manifest };
}
