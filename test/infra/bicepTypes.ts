/**
 * Azure's own descriptions of resource types, read from files that are not part of the project, and the comparison of a
 * declaration with them: unknown, missing and read-only properties, literals of the wrong type or outside an enumeration.
 * Two notations: `types.json` of bicep-types-az, and what `azmcp bicepschema get` prints. Expressions are taken on trust.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Value } from './bicep.ts';

interface ObjectShape {
  readonly properties: ReadonlyMap<string, { type: () => Shape; required: boolean; readOnly: boolean }>;
  readonly additional: boolean;
}

type Shape =
  | { readonly kind: 'object'; readonly shape: ObjectShape }
  | { readonly kind: 'array'; readonly item: () => Shape }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'string' | 'number' | 'boolean' | 'null' | 'any' }
  | { readonly kind: 'union'; readonly options: readonly (() => Shape)[] };

/** Bodies of resources by `type@version`, in lower case. */
type ResourceTypes = ReadonlyMap<string, Shape>;

/** Everything in the folders that exist. */
export function readResourceTypes(folders: readonly string[]): ResourceTypes {
  const types = new Map<string, Shape>();
  for (const folder of folders.filter(existsSync)) {
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
      const json: unknown = JSON.parse(readFileSync(join(folder, name), 'utf8'));
      if (Array.isArray(json)) readTypesJson(json as TypesEntry[], types);
      else readPrinted(json, types);
    }
  }
  return types;
}

interface TypesEntry {
  readonly $type: string;
  readonly name?: string;
  readonly value?: string;
  readonly body?: Ref;
  readonly itemType?: Ref;
  readonly elements?: readonly Ref[];
  readonly properties?: Record<string, { type: Ref; flags: number }>;
  readonly additionalProperties?: Ref;
  readonly baseProperties?: Record<string, { type: Ref; flags: number }>;
}
interface Ref {
  readonly $ref: string;
}

function readTypesJson(entries: readonly TypesEntry[], types: Map<string, Shape>): void {
  const resolve = (ref: Ref) => (): Shape => shapeOf(entries[Number(ref.$ref.slice(2))]);
  const shapeOf = (entry: TypesEntry | undefined): Shape => {
    switch (entry?.$type) {
      case 'StringType':
        return { kind: 'string' };
      case 'IntegerType':
        return { kind: 'number' };
      case 'BooleanType':
        return { kind: 'boolean' };
      case 'StringLiteralType':
        return { kind: 'literal', text: entry.value ?? '' };
      case 'ArrayType':
        return entry.itemType ? { kind: 'array', item: resolve(entry.itemType) } : { kind: 'any' };
      case 'UnionType':
        return { kind: 'union', options: (entry.elements ?? []).map(resolve) };
      case 'ObjectType': {
        const properties = Object.entries(entry.properties ?? {}).map(
          ([name, { type, flags }]) =>
            [
              name,
              { type: resolve(type), required: (flags & 1) !== 0, readOnly: (flags & 2) !== 0 },
            ] as const,
        );
        const shape = {
          properties: new Map(properties),
          additional: entry.additionalProperties !== undefined,
        };
        return { kind: 'object', shape };
      }
      default:
        return { kind: 'any' };
    }
  };
  for (const entry of entries) {
    if (entry.$type !== 'ResourceType' || !entry.name || !entry.body) continue;
    types.set(entry.name.toLowerCase(), resolve(entry.body)());
  }
}

interface Printed {
  readonly $type: string;
  readonly name?: string;
  readonly bodyType?: Printed;
  readonly properties?: readonly { name: string; type: string; flags?: string }[];
  readonly additionalPropertiesType?: string;
}

function readPrinted(json: unknown, types: Map<string, Shape>): void {
  const results = (json as { results?: { BicepSchemaResult?: Printed[] } }).results?.BicepSchemaResult;
  if (!results) return;
  const byName = new Map(results.map((entry) => [entry.name, entry]));
  const typeNamed = (text: string) => (): Shape => {
    const options = text.split(' | ').map((option) => option.trim());
    if (options.length > 1) return { kind: 'union', options: options.map((option) => typeNamed(option)) };
    if (text.endsWith('[]')) return { kind: 'array', item: typeNamed(text.slice(0, -2)) };
    if (text === 'string' || text === 'null' || text === 'any') return { kind: text };
    if (text === 'int') return { kind: 'number' };
    if (text === 'bool') return { kind: 'boolean' };
    const entry = byName.get(text);
    if (entry?.$type === 'Object') return objectOf(entry);
    return entry || /[({]/.test(text) ? { kind: 'any' } : { kind: 'literal', text };
  };
  const objectOf = (entry: Printed): Shape => {
    const properties = (entry.properties ?? []).map(
      ({ name, type, flags = '' }) =>
        [
          name,
          {
            type: typeNamed(type),
            required: flags.includes('Required'),
            readOnly: flags.includes('ReadOnly'),
          },
        ] as const,
    );
    const additional = entry.additionalPropertiesType !== undefined || properties.length === 0;
    return { kind: 'object', shape: { properties: new Map(properties), additional } };
  };
  for (const entry of results) {
    if (entry.$type === 'Resource' && entry.name && entry.bodyType?.$type === 'Object') {
      types.set(entry.name.toLowerCase(), objectOf(entry.bodyType));
    }
  }
}

/** What is wrong with `value` as a `shape`, each with its place. `extra` are properties that Bicep itself knows. */
export function compare(value: Value, shape: Shape, path: string, extra: readonly string[] = []): string[] {
  if (value.kind === 'choice') return value.options.flatMap((option) => compare(option, shape, path, extra));
  if (value.kind === 'expression' || value.kind === 'null' || shape.kind === 'any') return [];
  if (shape.kind === 'union') {
    const tries = shape.options.map((option) => compare(value, option(), path, extra));
    const best = tries.toSorted((a, b) => a.length - b.length)[0] ?? [];
    const options = shape.options
      .map((option) => option())
      .flatMap((o) => (o.kind === 'literal' ? [o.text] : []));
    return best.length > 0 && options.length > 0 && value.kind === 'string'
      ? [`${value.at} ${path} is '${value.text}', not one of ${options.join(', ')}`]
      : best;
  }
  if (shape.kind === 'object' && value.kind === 'object') {
    const wrong: string[] = [];
    for (const [name, inner] of value.properties) {
      if (extra.includes(name)) continue;
      const property = shape.shape.properties.get(name);
      if (!property) {
        if (!shape.shape.additional) wrong.push(`${inner.at} ${path} has no property ${name}`);
      } else if (property.readOnly) wrong.push(`${inner.at} ${path}.${name} is read-only`);
      else wrong.push(...compare(inner, property.type(), `${path}.${name}`));
    }
    for (const [name, { required, readOnly }] of shape.shape.properties) {
      if (required && !readOnly && !value.properties.has(name))
        wrong.push(`${value.at} ${path} needs ${name}`);
    }
    return wrong;
  }
  if (shape.kind === 'array' && value.kind === 'array') {
    return value.items.flatMap((item, index) => compare(item, shape.item(), `${path}[${index}]`));
  }
  if (shape.kind === 'literal' && value.kind === 'string') {
    return shape.text === value.text ? [] : [`${value.at} ${path} is '${value.text}', not '${shape.text}'`];
  }
  return shape.kind === value.kind ? [] : [`${value.at} ${path} wants ${shape.kind}, got ${value.kind}`];
}
