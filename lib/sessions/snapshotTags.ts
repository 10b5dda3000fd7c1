import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { MAX_TAG_VALUE, MAX_TAGS } from '../azure/index.ts';
import { OWNER_TAG } from '../installation/index.ts';
import { HoldfastError, type MachineConfiguration, machineConfigurationSchema } from '../model/index.ts';

/**
 * What our snapshots carry in their tags: who owns them, what they are of, and the machine's whole configuration, deflated,
 * sealed with the installation key and split over the tags of the set. With the catalog lost, the snapshots still say what
 * they are, to us alone.
 */
export const SESSION_TAG = 'holdfast-session';
export const MACHINE_TAG = 'holdfast-machine';
export const SET_TAG = 'holdfast-set';
const DISK_TAG = 'holdfast-disk';
export const PARTS_TAG = 'holdfast-parts';
const PART_PREFIX = 'holdfast-m';

const OWN_TAGS = 6;

const sealKey = (installationKey: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', installationKey, Buffer.alloc(0), 'holdfast/snapshot-tags/1', 32));

/** Seals a configuration: base64url of nonce, ciphertext and authentication tag. Each call draws a new nonce. */
export function sealConfiguration(
  configuration: MachineConfiguration,
  sessionId: string,
  installationKey: Buffer,
): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', sealKey(installationKey), nonce);
  cipher.setAAD(Buffer.from(sessionId));
  const plain = deflateRawSync(JSON.stringify(configuration), { level: 9 });
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString(
    'base64url',
  );
}

/** Throws `corruptObject` when the text is not what `sealConfiguration` made for this session with this key. */
export function openConfiguration(
  sealed: string,
  sessionId: string,
  installationKey: Buffer,
): MachineConfiguration {
  const bytes = Buffer.from(sealed, 'base64url');
  try {
    const decipher = createDecipheriv('aes-256-gcm', sealKey(installationKey), bytes.subarray(0, 12));
    decipher.setAAD(Buffer.from(sessionId));
    decipher.setAuthTag(bytes.subarray(-16));
    const plain = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
    return machineConfigurationSchema.parse(JSON.parse(inflateRawSync(plain).toString('utf8')));
  } catch (cause) {
    throw new HoldfastError(
      'corruptObject',
      `The tags of the snapshots of session ${sessionId} do not open with this installation's key.`,
      {
        target: sessionId,
        cause,
      },
    );
  }
}

export interface TagPlan {
  readonly owner: string;
  readonly sessionId: string;
  readonly setId: string;
  readonly machineId: string;
  readonly sealed: string;
  /** Numbers of the disks of the set, ascending. */
  readonly disks: readonly number[];
}

/**
 * The tags of each disk's snapshot. Part `i` of the sealed configuration goes to disk `i mod n`, so that all snapshots fill
 * up evenly.
 *
 * @throws `tagLimit` when the set has no room, before anything is created; `resource` names the machine
 */
export function planTags(
  { owner, sessionId, setId, machineId, sealed, disks }: TagPlan,
  resource: string,
): Map<number, Record<string, string>> {
  const parts = sealed.match(new RegExp(`.{1,${MAX_TAG_VALUE}}`, 'g')) ?? [];
  const room = disks.length * (MAX_TAGS - OWN_TAGS);
  if (parts.length > room) {
    throw new HoldfastError(
      'tagLimit',
      `The configuration of ${resource} needs ${parts.length} tags, and its ${disks.length} snapshots have room for ${room}. ` +
        'Shorten the tags or extensions of the VM.',
      { target: resource },
    );
  }
  const tags = new Map(
    disks.map((disk): [number, Record<string, string>] => [
      disk,
      {
        [OWNER_TAG]: owner,
        [SESSION_TAG]: sessionId,
        [MACHINE_TAG]: machineId,
        [SET_TAG]: setId,
        [DISK_TAG]: String(disk),
        [PARTS_TAG]: String(parts.length),
      },
    ]),
  );
  parts.forEach((part, i) => {
    const disk = disks[i % disks.length];
    const of = disk === undefined ? undefined : tags.get(disk);
    if (of) of[`${PART_PREFIX}${String(i).padStart(3, '0')}`] = part;
  });
  return tags;
}

/** Puts the sealed configuration of a set together again; null while a part of it is missing. */
export function joinTags(tagsOfSet: readonly Readonly<Record<string, string>>[]): string | null {
  const all: Record<string, string> = Object.assign({}, ...tagsOfSet);
  const count = Number(all[PARTS_TAG]);
  if (!Number.isInteger(count)) return null;
  const parts = Array.from({ length: count }, (_, i) => all[`${PART_PREFIX}${String(i).padStart(3, '0')}`]);
  return parts.every((part) => part !== undefined) ? parts.join('') : null;
}
