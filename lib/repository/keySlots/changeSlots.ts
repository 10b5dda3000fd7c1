import { HoldfastError, isHoldfastError } from '../../model/index.ts';
import { readIfThere } from '../createOnce.ts';
import { missingObject } from '../damage.ts';
import { type Descriptor, descriptorSchema } from '../descriptor.ts';
import { authenticateDocument, encodeDocument, readDocument } from '../document.ts';
import { deriveKeys } from '../keys.ts';
import { DESCRIPTOR } from '../names.ts';
import { type ScryptCost, unwrapWithPassword, wrapWithPassword } from '../passwordSlot.ts';
import { type OpenRepository, type Repository, refuseOther } from '../repository.ts';
import { withoutVersion, wrapWithKeyVault } from './keyVaultSlot.ts';
import type { KeyWrapper } from './keyWrapper.ts';
import { MAX_SLOTS, type Slot } from './slot.ts';
import { type Unlock, unlock } from './unlock.ts';

/**
 * Changes of the key slots: each is one write of the descriptor (If-Match, counter up, authenticated anew), so a crash leaves
 * the old slots or the new ones. Every one may be called again, and of two at once the later one starts over on what the
 * first one wrote. No data is touched. What a change does not do: slots that were copied before it (a copied descriptor, the
 * `chain` objects of older chains) keep opening, since the master key stays.
 */
export interface ChangeSlots extends OpenRepository {
  /** Cost of a password guess; tests lower it. */
  readonly scrypt?: ScryptCost | undefined;
  /** Refuse, with `conflict`, a change after which this opens the repository no more. */
  readonly mustOpen?: Unlock | undefined;
}

export interface SlotChange {
  /** The repository as it is now; remember it (`rememberRepository`). */
  readonly repository: Repository;
  /** False: it was so already; nothing was written. */
  readonly changed: boolean;
  /** The slot that was added, changed or removed; null when there was none to remove. */
  readonly slot: Slot | null;
}

/** What a new slot is made of. `key`: identifier of a Key Vault key, with a version or without (the newest one). */
export type SlotMaterial =
  | { readonly password: string }
  | { readonly keyVault: KeyWrapper; readonly key: string };

interface Opened {
  readonly descriptor: Descriptor;
  readonly master: Buffer;
  /** The slot that the request's unlock opened. */
  readonly by: Slot;
}
type Decision = { readonly slots: readonly Slot[]; readonly slot: Slot } | 'nothing';

/** The repository as it is now, and as `slot` the one that the request's `unlock` opens. Changes nothing. */
export const inspectSlots = (request: OpenRepository): Promise<SlotChange> =>
  change(request, null, () => Promise.resolve('nothing'));

/** Adds a slot. `alreadyExists` when another one has this id; the same material under it again is no change. */
export function addSlot(
  request: ChangeSlots & { readonly id: string; readonly material: SlotMaterial },
): Promise<SlotChange> {
  return change(request, request.id, async (opened) => {
    const { slots } = opened.descriptor;
    const there = slots.find(({ id }) => id === request.id);
    if (there) {
      if (await opensWith(opened, there, request.material)) return 'nothing';
      throw new HoldfastError(
        'alreadyExists',
        `There is a key slot "${request.id}" already, and it is another one. Choose another id, or change that slot.`,
        { target: request.id },
      );
    }
    if (slots.length >= MAX_SLOTS) {
      throw new HoldfastError(
        'invalidInput',
        `A repository has at most ${MAX_SLOTS} key slots. Remove one first.`,
        { target: request.id },
      );
    }
    const slot = await makeSlot(request, opened, request.id, request.material);
    return { slots: [...slots, slot], slot };
  });
}

/** Removes a slot; one that is not there is no error (`changed` is false). The last slot stays: `conflict`. */
export function removeSlot(request: ChangeSlots & { readonly id: string }): Promise<SlotChange> {
  return change(request, request.id, ({ descriptor: { slots } }) => {
    const slot = slots.find(({ id }) => id === request.id);
    if (!slot) return Promise.resolve('nothing' as const);
    if (slots.length === 1) {
      throw new HoldfastError(
        'conflict',
        `The key slot "${request.id}" is the last one: without it nobody could open the repository. Add another one first.`,
        { target: request.id },
      );
    }
    return Promise.resolve({ slots: slots.filter(({ id }) => id !== request.id), slot });
  });
}

/**
 * Replaces the password of the slot that the old one (the request's `unlock`) opens. When the answer to an earlier call was
 * lost, the new password opens instead of the old one: no change.
 */
export async function changePassword(
  request: ChangeSlots & { readonly unlock: { readonly password: string }; readonly newPassword: string },
): Promise<SlotChange> {
  const password = request.newPassword;
  try {
    return await change(request, null, async (opened) => {
      if (password.normalize('NFC') === request.unlock.password.normalize('NFC')) return 'nothing';
      const slot = await makeSlot(request, opened, opened.by.id, { password });
      return { slots: swap(opened.descriptor.slots, slot), slot };
    });
  } catch (error) {
    if (!isHoldfastError(error, 'wrongPassword')) throw error;
    try {
      return await change({ ...request, unlock: { password } }, null, () => Promise.resolve('nothing'));
    } catch (again) {
      throw isHoldfastError(again, 'wrongPassword') ? error : again;
    }
  }
}

/**
 * Wraps a Key Vault slot again with the newest version of its key (or with `key`, another one), after the key was rotated.
 * The repository is opened with the request's `unlock`: the old version, which must still be enabled, or any other slot.
 * `changed` is false when the slot has the newest version already.
 */
export function rewrapSlot(
  request: ChangeSlots & {
    readonly id: string;
    readonly keyVault: KeyWrapper;
    readonly key?: string | undefined;
  },
): Promise<SlotChange> {
  return change(request, request.id, async (opened) => {
    const old = opened.descriptor.slots.find(({ id }) => id === request.id);
    if (old?.kind !== 'keyVault') {
      throw new HoldfastError(
        'notFound',
        `The repository has no Key Vault slot "${request.id}". Its slots are ${opened.descriptor.slots.map(({ id }) => id).join(', ')}.`,
        { target: request.id },
      );
    }
    const key = request.key ?? withoutVersion(old.key);
    const slot = await makeSlot(request, opened, request.id, { keyVault: request.keyVault, key });
    if (slot.kind === 'keyVault' && slot.key === old.key) return 'nothing';
    return { slots: swap(opened.descriptor.slots, slot), slot };
  });
}

/** Reads, decides, writes if nobody else wrote meanwhile; else all over again. */
async function change(
  request: ChangeSlots,
  id: string | null,
  decide: (opened: Opened) => Promise<Decision>,
): Promise<SlotChange> {
  const { meta, data, remembered } = request;
  let wrote: { readonly bytes: Buffer; readonly done: SlotChange } | null = null;
  for (;;) {
    const stored = await readIfThere(meta, DESCRIPTOR);
    if (!stored) throw missingObject(DESCRIPTOR, meta.name);
    // The write that was refused was a second try of one that had arrived.
    if (wrote?.bytes.equals(stored.bytes)) return wrote.done;
    const descriptor = readDocument(DESCRIPTOR, stored.bytes, descriptorSchema);
    refuseOther(meta, { id: descriptor.id, mode: descriptor.mode }, remembered);
    const opened = await unlock(descriptor, request.unlock, meta.name);
    if (!opened) throw withoutKeys(meta.name);
    const keys = deriveKeys(opened.master, descriptor.id);
    authenticateDocument(keys.document, DESCRIPTOR, stored.bytes);
    refuseOther(meta, { ...descriptor, fingerprint: keys.fingerprint }, remembered);
    const repositoryOf = ({ id: repository, mode, counter, slots }: Descriptor): Repository => ({
      id: repository,
      mode,
      counter,
      slots,
      keys,
      meta,
      data,
    });
    const decision = await decide({ descriptor, master: opened.master, by: opened.slot });
    if (decision === 'nothing') {
      const slot = descriptor.slots.find((one) => one.id === (id ?? opened.slot.id)) ?? null;
      return { repository: repositoryOf(descriptor), changed: false, slot };
    }
    const next = { ...descriptor, counter: descriptor.counter + 1, slots: [...decision.slots] };
    await refuseLockOut(request, next);
    const bytes = encodeDocument(keys.document, DESCRIPTOR, descriptorSchema.parse(next));
    const done = { repository: repositoryOf(next), changed: true, slot: decision.slot };
    try {
      await meta.replace(DESCRIPTOR, bytes, stored.etag);
      return done;
    } catch (error) {
      if (!isHoldfastError(error, 'preconditionFailed')) throw error;
      wrote = { bytes, done };
    }
  }
}

async function refuseLockOut({ meta, mustOpen }: ChangeSlots, next: Descriptor): Promise<void> {
  if (!mustOpen) return;
  try {
    await unlock(next, mustOpen, meta.name);
  } catch (error) {
    if (!isHoldfastError(error) || error.retryable) throw error;
    throw new HoldfastError(
      'conflict',
      `Nothing was changed: with these key slots the service could not open the repository in ${meta.name} any more. Give it another way in first. (${error.message})`,
      { target: meta.name, cause: error },
    );
  }
}

const swap = (slots: readonly Slot[], slot: Slot): Slot[] =>
  slots.map((one) => (one.id === slot.id ? slot : one));

const makeSlot = (
  { scrypt }: ChangeSlots,
  { descriptor, master }: Opened,
  id: string,
  material: SlotMaterial,
): Promise<Slot> =>
  'password' in material
    ? wrapWithPassword(master, descriptor.id, id, material.password, scrypt)
    : wrapWithKeyVault(master, descriptor.id, id, material.keyVault, material.key);

/** Whether a slot is what the material would have made: an earlier call that is repeated. */
async function opensWith(
  { descriptor: { id } }: Opened,
  slot: Slot,
  material: SlotMaterial,
): Promise<boolean> {
  if (slot.kind === 'password')
    return 'password' in material && (await unwrapWithPassword(slot, id, material.password)) !== null;
  return (
    slot.kind === 'keyVault' && 'key' in material && withoutVersion(slot.key) === withoutVersion(material.key)
  );
}

const withoutKeys = (where: string): HoldfastError =>
  new HoldfastError(
    'unsupported',
    `The repository in ${where} is not encrypted and has no key slots: its checksums find accidents, but no attackers. Only a new repository can be encrypted.`,
    { target: where },
  );
