/** Tags: what a resource accepts (section "Tags" of Azure's limits), and how a patch changes them. Names compare without regard to case. */
import { ArmError } from '../errors.ts';

export type Tags = Record<string, string>;

/** Throws 400 when there are too many, or a name or value is not allowed. The exact codes are not recorded anywhere public. */
export function checkTags(tags: Tags | undefined, limit: number): void {
  const entries = Object.entries(tags ?? {});
  if (entries.length > limit) {
    throw new ArmError(
      400,
      'TooManyTags',
      `The resource has ${entries.length} tags; at most ${limit} are allowed.`,
    );
  }
  const names = new Set<string>();
  for (const [name, value] of entries) {
    if (/[<>%&\\?/]/.test(name)) {
      throw new ArmError(
        400,
        'InvalidTagNameCharacters',
        `The tag name '${name}' has a reserved character: '<,>,%,&,\\,?,/' or a control character.`,
      );
    }
    if (name === '' || name.length > 512) {
      throw new ArmError(
        400,
        'InvalidTagName',
        `The tag name '${name.slice(0, 40)}' must have 1 to 512 characters; it has ${name.length}.`,
      );
    }
    if (/^(microsoft|azure|windows)/i.test(name)) {
      throw new ArmError(
        400,
        'InvalidTagName',
        `The tag name '${name}' begins with a reserved prefix: microsoft, azure, windows.`,
      );
    }
    if (value.length > 256) {
      throw new ArmError(
        400,
        'InvalidTagValueLength',
        `The value of the tag '${name}' must have at most 256 characters; it has ${value.length}.`,
      );
    }
    if (names.has(name.toLowerCase()))
      throw new ArmError(400, 'DuplicateTagName', `The tag name '${name}' is given twice.`);
    names.add(name.toLowerCase());
  }
}

/** New tags over old ones: a name that exists keeps its casing and takes the new value. */
export function mergeTags(old: Tags, changes: Tags): Tags {
  const merged = { ...old };
  for (const [name, value] of Object.entries(changes)) {
    const known = Object.keys(merged).find((candidate) => candidate.toLowerCase() === name.toLowerCase());
    merged[known ?? name] = value;
  }
  return merged;
}

/** Removes the tags whose name and value are given (the value matters, as on Azure). */
export function withoutTags(old: Tags, gone: Tags): Tags {
  const lower = new Map(Object.entries(gone).map(([name, value]) => [name.toLowerCase(), value]));
  return Object.fromEntries(
    Object.entries(old).filter(([name, value]) => lower.get(name.toLowerCase()) !== value),
  );
}
