import { z } from 'zod';
import { chainIdSchema, HoldfastError, KiB, machineIdSchema } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { createOnce, readIfThere } from './createOnce.ts';
import { corruptObject, decoding, missingObject } from './damage.ts';
import { authenticateDocument, encodeDocument, readDocument } from './document.ts';
import { slotsSchema } from './keySlots/slot.ts';
import type { ChainKeys, SealingKey } from './keys.ts';
import type { ChainData } from './mapObjects.ts';
import { CHAINS, chainName } from './names.ts';
import type { Repository } from './repository.ts';
import { FORMAT_VERSION, KIND, openWhole, sealWhole } from './sealedObject.ts';

/** Pages under one node of the block map's tree. */
export const NODE_PAGES = 256;
/** Blocks under one page. */
export const PAGE_BLOCKS = 256;
export const DEFAULT_BLOCK_BYTES = 512 * KiB;
/** 256 KiB to 1 MiB suit disks; the smaller ones are for small test disks. */
export const BLOCK_SIZES: readonly number[] = [4, 16, 64, 128, 256, 512, 1024].map((size) => size * KiB);

const identitySchema = z.strictObject({
  machine: z.strictObject({ id: machineIdSchema, armId: z.string(), name: z.string() }),
  /** Session that founded the chain, and when. */
  session: z.string(),
  createdAt: z.iso.datetime(),
});

/** What can be read without a key: enough to open the chain when the descriptor is lost. */
const chainDocumentSchema = z.strictObject({
  format: z.literal(FORMAT_VERSION),
  chain: chainIdSchema,
  repository: z.strictObject({
    id: z.uuid(),
    mode: z.enum(['encrypted', 'none']),
    slots: slotsSchema,
  }),
  blockBytes: z
    .number()
    .int()
    .refine((n) => BLOCK_SIZES.includes(n), 'is not a block size'),
  pageBlocks: z.literal(PAGE_BLOCKS),
  /** Sealed `identity`, base64. */
  identity: z.base64(),
});

export type ChainIdentity = z.infer<typeof identitySchema>;

/** An open chain of restore points of one machine. */
export interface Chain extends ChainIdentity {
  readonly id: string;
  readonly repository: Repository;
  readonly keys: ChainKeys;
  readonly blockBytes: number;
  readonly pageBlocks: number;
}

export interface CreateChain extends ChainIdentity {
  readonly id: string;
  readonly blockBytes?: number;
}

/** Founds a chain. A chain of this id that the same session founded for the same machine is opened: the call may be repeated. */
export async function createChain(repository: Repository, request: CreateChain): Promise<Chain> {
  const { id, machine, session, createdAt } = request;
  const name = chainName(id);
  const identity = identitySchema.parse({ machine, session, createdAt });
  const plain = Buffer.from(JSON.stringify(identity), 'utf8');
  const sealed = sealWhole(repository.keys.meta, { kind: KIND.chain, chain: id, name }, plain);
  const document: z.infer<typeof chainDocumentSchema> = {
    format: FORMAT_VERSION,
    chain: id,
    repository: { id: repository.id, mode: repository.mode, slots: [...repository.slots] },
    blockBytes: request.blockBytes ?? DEFAULT_BLOCK_BYTES,
    pageBlocks: PAGE_BLOCKS,
    identity: sealed.bytes.toString('base64'),
  };
  chainDocumentSchema.parse(document);
  const bytes = encodeDocument(repository.keys.document, name, document);
  const outcome = await createOnce(repository.meta, name, bytes);
  const chain = await openChain(repository, id);
  if (outcome === 'taken' && (chain.session !== session || chain.machine.id !== machine.id)) {
    throw new HoldfastError('alreadyExists', `The chain ${id} exists and belongs to ${chain.machine.name}.`, {
      target: name,
    });
  }
  return chain;
}

/** The chain's document, not authenticated until there is a key. */
export async function readChainDocument(
  meta: BlobStore,
  id: string,
): Promise<{ document: z.infer<typeof chainDocumentSchema>; authenticate: (key: SealingKey) => void }> {
  const name = chainName(id);
  const stored = await readIfThere(meta, name);
  if (!stored) throw missingObject(name, meta.name);
  const document = readDocument(name, stored.bytes, chainDocumentSchema);
  return { document, authenticate: (key) => authenticateDocument(key, name, stored.bytes) };
}

/** Opens a chain: `missingObject`, `corruptObject`, or `repositoryMismatch` when it was made for another repository. */
export async function openChain(repository: Repository, id: string): Promise<Chain> {
  const name = chainName(id);
  const { document, authenticate } = await readChainDocument(repository.meta, id);
  if (document.repository.id !== repository.id) {
    throw new HoldfastError(
      'repositoryMismatch',
      `The chain ${id} belongs to repository ${document.repository.id}.`,
      { target: name },
    );
  }
  authenticate(repository.keys.document);
  if (document.chain !== id) throw corruptObject(name, 'it is of another chain');
  const sealed = Buffer.from(document.identity, 'base64');
  const plain = openWhole(repository.keys.meta, { kind: KIND.chain, chain: id, name }, sealed);
  const identity = decoding(name, 'the machine in it', () =>
    identitySchema.parse(JSON.parse(plain.toString('utf8'))),
  );
  const { blockBytes, pageBlocks } = document;
  return { id, repository, keys: repository.keys.chain(id), blockBytes, pageBlocks, ...identity };
}

/** Ids of all chains that have a `chain` object, in order. */
export async function* listChains(
  { meta }: Pick<Repository, 'meta'>,
  signal?: AbortSignal,
): AsyncIterable<string> {
  for await (const { name } of meta.list(CHAINS, { signal })) {
    const id = /^chains\/([^/]+)\/chain$/.exec(name)?.[1];
    if (id !== undefined) yield id;
  }
}

/** What it takes to read the data objects of `chain`. */
export const chainData = ({ id, keys, blockBytes, pageBlocks, repository }: Chain): ChainData => ({
  id,
  keys,
  blockBytes,
  pageBlocks,
  data: repository.data,
});
