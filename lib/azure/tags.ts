import { HoldfastError } from '../model/index.ts';

export type Tags = Readonly<Record<string, string>>;

/** Azure's limits for a resource's tags. */
export const MAX_TAGS = 50;
const MAX_TAG_NAME = 512;
export const MAX_TAG_VALUE = 256;

/**
 * Throws `tagLimit` when Azure would refuse these tags, before anything is created with them. `target` is what would carry them. Azure
 * Policy may add tags of its own: leave it room.
 */
export function checkTags(tags: Tags, target: string): void {
  const problem = (text: string) => new HoldfastError('tagLimit', `Tags of "${target}": ${text}`, { target });
  const names = Object.keys(tags);
  if (names.length > MAX_TAGS) {
    throw problem(`${names.length} are too many, a resource has at most ${MAX_TAGS}. Use fewer tags.`);
  }
  const seen = new Set<string>();
  for (const [name, value] of Object.entries(tags)) {
    if (name.length === 0 || name.length > MAX_TAG_NAME) {
      throw problem(`the name of "${name.slice(0, 40)}" must have 1 to ${MAX_TAG_NAME} characters.`);
    }
    if (/[<>%&\\?/]/.test(name))
      throw problem(`the name "${name}" has one of the characters < > % & \\ ? /.`);
    if (/^(microsoft|azure|windows)/i.test(name))
      throw problem(`the prefix of "${name}" is reserved by Azure.`);
    if (value.length > MAX_TAG_VALUE) {
      throw problem(
        `the value of "${name}" has ${value.length} characters, at most ${MAX_TAG_VALUE} are allowed.`,
      );
    }
    if (seen.has(name.toLowerCase()))
      throw problem(`"${name}" appears twice; names differ in more than case.`);
    seen.add(name.toLowerCase());
  }
}

/** The value of a tag. Names are compared without regard to case: Azure does so, and a policy may have rewritten ours. */
function tagValue(tags: Tags | undefined, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return Object.entries(tags ?? {}).find(([given]) => given.toLowerCase() === wanted)?.[1];
}

/** Whether a resource carries the tag, with this value where one is wanted. */
export function hasTag(
  tags: Tags | undefined,
  tag: { readonly name: string; readonly value?: string },
): boolean {
  const value = tagValue(tags, tag.name);
  return value !== undefined && (tag.value === undefined || tag.value === value);
}
