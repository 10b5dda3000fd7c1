import type { Scope } from '../model/index.ts';
import { diskMatchText } from './disks.ts';
import { entriesOf } from './judge.ts';
import { tagText } from './match.ts';

/** A scope in words: `tag env=prod, resource group shop; only in westeurope; not machine web-9`. */
export function describeScope(scope: Scope): string {
  const shorter = (reference: string): string =>
    reference.startsWith('/') ? reference.replace(/^.*\//, '') : reference;
  const named = entriesOf(scope)
    .toReversed()
    .map(({ what }) => what.split(' '))
    .map((words) => words.map(shorter).join(' '));
  const { exclude, regions, disks } = scope;
  const not = [
    ...exclude.machines.map((reference) => `machine ${shorter(reference)}`),
    ...exclude.tags.map((tag) => `tag ${tagText(tag)}`),
    ...exclude.disks.map((match) => diskMatchText(match)),
  ];
  return [
    named.join(', ') || 'nothing',
    ...(regions.length === 0 ? [] : [`only in ${regions.join(', ')}`]),
    ...(disks.length === 0 ? [] : [`only ${disks.map((match) => diskMatchText(match)).join(', ')}`]),
    ...(not.length === 0 ? [] : [`not ${not.join(', ')}`]),
  ].join('; ');
}
