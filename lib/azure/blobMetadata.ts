import { HoldfastError } from '../model/index.ts';
import type { Tags } from './tags.ts';

/** Azure's limit for all metadata of a blob, names and values together. */
const MAX_BYTES = 8192;
/** Names of metadata are identifiers: no hyphen. Ours have no underscore, so that one stands for the other. */
const OURS = /^holdfast-[a-z0-9-]+$/;
/** All other tags, as a query string: their names may hold what an identifier may not. */
const OTHERS = 'holdfast_tags';
/** The snapshot's name, by which it is found again: the service names snapshots by their time only. */
const NAME = 'holdfast_name';
/** Identity of the disk that it was taken of (`identityOf`). */
const SOURCE = 'holdfast_source';
/** `subscription/group/region`: where the snapshot would be if it were a resource, by which lists find it. */
const PLACE = 'holdfast_place';

export interface SnapshotMark {
  readonly name: string;
  readonly sourceUniqueId: string;
  readonly place: {
    readonly subscriptionId: string;
    readonly resourceGroup: string;
    readonly location: string;
  };
  readonly tags: Tags;
}

/**
 * What a snapshot of a page blob carries in the place of tags, as blob metadata.
 *
 * @throws `tagLimit` when it would not fit; `target` is the snapshot
 */
export function toMetadata(
  { name, sourceUniqueId, place, tags }: SnapshotMark,
  target: string,
): Record<string, string> {
  const others = new URLSearchParams();
  const { subscriptionId, resourceGroup, location } = place;
  const metadata: Record<string, string> = {
    [NAME]: name,
    [SOURCE]: sourceUniqueId,
    [PLACE]: [subscriptionId, resourceGroup, location].map(encodeURIComponent).join('/'),
  };
  for (const [tag, value] of Object.entries(tags)) {
    if (OURS.test(tag) && /^[\x20-\x7e]*$/.test(value)) metadata[tag.replaceAll('-', '_')] = value;
    else others.append(tag, value);
  }
  if (others.size > 0) metadata[OTHERS] = others.toString();
  const bytes = Object.entries(metadata).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  if (bytes > MAX_BYTES) {
    throw new HoldfastError(
      'tagLimit',
      `The metadata of "${target}" would have ${bytes} bytes, and a blob takes ${MAX_BYTES}. ` +
        'Shorten the tags or extensions of the VM, or put fewer tags on its snapshots.',
      { target },
    );
  }
  return metadata;
}

/** The reverse; null when the snapshot is not one of Holdfast's. */
export function fromMetadata(metadata: Readonly<Record<string, string>> | undefined): SnapshotMark | null {
  const given = Object.entries(metadata ?? {}).map(([key, value]) => [key.toLowerCase(), value] as const);
  const {
    [NAME]: name,
    [SOURCE]: sourceUniqueId,
    [PLACE]: place,
    [OTHERS]: others,
    ...rest
  } = Object.fromEntries(given);
  if (name === undefined || sourceUniqueId === undefined || place === undefined) return null;
  const [subscriptionId = '', resourceGroup = '', location = ''] = place.split('/').map(decodeURIComponent);
  const tags: Record<string, string> = Object.fromEntries(new URLSearchParams(others ?? ''));
  for (const [key, value] of Object.entries(rest)) {
    if (key.startsWith('holdfast_')) tags[key.replaceAll('_', '-')] = value;
  }
  return { name, sourceUniqueId, place: { subscriptionId, resourceGroup, location }, tags };
}
