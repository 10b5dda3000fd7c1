/** Reads Bicep files into what the checks ask about: declarations with their values, and what refers to what. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { Language, type Node, Parser } from 'web-tree-sitter';

export const ROOT = join(import.meta.dirname, '..', '..');
export const INFRA = join(ROOT, 'infra');

/** A value as far as it is written down; what is computed is an `expression`. */
export type Value =
  | { readonly kind: 'object'; readonly properties: ReadonlyMap<string, Value>; readonly at: string }
  | { readonly kind: 'array'; readonly items: readonly Value[]; readonly at: string }
  | { readonly kind: 'string' | 'number' | 'boolean'; readonly text: string; readonly at: string }
  /** One of several, by a condition or in a loop. */
  | { readonly kind: 'choice'; readonly options: readonly Value[]; readonly at: string }
  | { readonly kind: 'null'; readonly at: string }
  | { readonly kind: 'expression'; readonly text: string; readonly at: string };

interface Param {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
}

export interface Resource {
  readonly symbol: string;
  readonly type: string;
  readonly apiVersion: string;
  readonly existing: boolean;
  /** Body of the declaration, of the loop or of the condition. */
  readonly body: Value;
  readonly at: string;
}

interface Module {
  readonly symbol: string;
  readonly path: string;
  readonly body: Value;
  readonly at: string;
}

interface Reference {
  readonly name: string;
  /** Set for `name.outputs.<this>`. */
  readonly output?: string;
  readonly at: string;
}

export interface BicepFile {
  readonly path: string;
  readonly text: string;
  readonly syntaxErrors: readonly string[];
  readonly targetScope: string;
  readonly params: readonly Param[];
  readonly variables: readonly { name: string; value: Value }[];
  readonly resources: readonly Resource[];
  readonly modules: readonly Module[];
  readonly outputs: readonly { name: string; value: Value }[];
  readonly references: readonly Reference[];
  /** Literal strings, without those that are types of resources or paths of modules. */
  readonly strings: readonly { text: string; at: string }[];
}

await Parser.init();
const parser = new Parser();
parser.setLanguage(
  await Language.load(createRequire(import.meta.url).resolve('tree-sitter-bicep/tree-sitter-bicep.wasm')),
);

export function readBicep(path: string): BicepFile {
  return parseBicep(readFileSync(path, 'utf8'), path);
}

export function parseBicep(text: string, path: string): BicepFile {
  const tree = parser.parse(text);
  if (!tree) throw new Error(`${path} was not parsed.`);
  const at = (node: Node) =>
    `${relative(ROOT, path)}:${node.startPosition.row + 1}:${node.startPosition.column + 1}`;
  const all = descendants(tree.rootNode);
  const named = (type: string) => all.filter((node) => node.type === type);
  const value = (node: Node) => valueOf(node, at);

  const resources = named('resource_declaration').map((node): Resource => {
    const [type = '', apiVersion = ''] = literal(node.namedChildren[1]).split('@');
    return {
      symbol: node.namedChildren[0]?.text ?? '',
      type,
      apiVersion,
      existing: node.children.some((child) => child?.type === 'existing'),
      body: value(must(node.namedChildren.at(-1))),
      at: at(node),
    };
  });
  const modules = named('module_declaration').map(
    (node): Module => ({
      symbol: node.namedChildren[0]?.text ?? '',
      path: literal(node.namedChildren[1]),
      body: value(must(node.namedChildren.at(-1))),
      at: at(node),
    }),
  );
  const params = named('parameter_declaration').map((node): Param => {
    const type = node.namedChildren[1];
    return {
      name: node.namedChildren[0]?.text ?? '',
      type: type?.text ?? '',
      required: node.namedChildCount < 3 && !type?.text.endsWith('?'),
    };
  });
  const isHead = (node: Node) =>
    ['resource_declaration', 'module_declaration'].includes(node.parent?.type ?? '');
  return {
    path,
    text,
    syntaxErrors: all
      .filter((node) => node.isError || node.isMissing)
      .map((node) => `${at(node)} near ${node.text}`),
    targetScope: literal(named('target_scope_assignment')[0]?.namedChildren[0]) || 'resourceGroup',
    params,
    resources,
    modules,
    variables: named('variable_declaration').map((node) => ({
      name: node.namedChildren[0]?.text ?? '',
      value: value(must(node.namedChildren.at(-1))),
    })),
    outputs: named('output_declaration').map((node) => ({
      name: node.namedChildren[0]?.text ?? '',
      value: value(must(node.namedChildren.at(-1))),
    })),
    references: named('identifier')
      .filter(isReference)
      .map((node) => ({ name: node.text, ...outputOf(node), at: at(node) })),
    strings: named('string')
      .filter((node) => !isHead(node))
      .map((node) => ({ text: literal(node), at: at(node) })),
  };
}

function must<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('The grammar has changed.');
  return value;
}

function descendants(node: Node): Node[] {
  return [node, ...node.children.flatMap((child) => (child ? descendants(child) : []))];
}

function literal(node: Node | null | undefined): string {
  return node?.namedChildren.map((part) => part?.text ?? '').join('') ?? '';
}

/** Whether an identifier stands for something declared at the top of the file, not for a name or a loop's variable. */
function isReference(node: Node): boolean {
  const parent = node.parent;
  if (!parent) return false;
  const first = parent.namedChildren[0]?.id === node.id;
  switch (parent.type) {
    case 'parameter_declaration':
    case 'variable_declaration':
    case 'output_declaration':
    case 'resource_declaration':
    case 'module_declaration':
    case 'object_property':
    case 'lambda_expression':
      if (first) return false;
      break;
    case 'call_expression':
      if (first) return false;
      break;
    case 'resource_expression':
      if (!first) return false;
      break;
    case 'for_statement':
      if (parent.childForFieldName('initializer')?.id === node.id) return false;
      break;
    default:
  }
  return !locals(node).has(node.text);
}

/** Names that loops and lambdas around `node` declare. */
function locals(node: Node): Set<string> {
  const names = new Set<string>();
  for (let outer = node.parent; outer; outer = outer.parent) {
    if (outer.type === 'for_statement') {
      const initializer = outer.childForFieldName('initializer');
      if (initializer) names.add(initializer.text);
      for (const child of outer.namedChildren) {
        if (child?.type !== 'for_loop_parameters') continue;
        for (const variable of child.namedChildren) if (variable) names.add(variable.text);
      }
    }
    if (outer.type === 'lambda_expression' && outer.namedChildren[0]) names.add(outer.namedChildren[0].text);
  }
  return names;
}

function outputOf(node: Node): { output?: string } {
  let holder = node.parent;
  if (holder?.type === 'subscript_expression') holder = holder.parent;
  if (holder?.type !== 'member_expression' || holder.childForFieldName('property')?.text !== 'outputs')
    return {};
  const outer = holder.parent;
  const output = outer?.type === 'member_expression' ? outer.childForFieldName('property')?.text : undefined;
  return output === undefined ? {} : { output };
}

function valueOf(node: Node, at: (node: Node) => string): Value {
  const here = at(node);
  const child = (name: string) => must(node.childForFieldName(name));
  switch (node.type) {
    case 'object': {
      const properties = new Map<string, Value>();
      for (const property of node.namedChildren) {
        const [key, value] = property?.namedChildren ?? [];
        if (property?.type !== 'object_property' || !key || key.type === 'resource_declaration' || !value)
          continue;
        properties.set(key.type === 'string' ? literal(key) : key.text, valueOf(value, at));
      }
      return { kind: 'object', properties, at: here };
    }
    case 'array':
      return {
        kind: 'array',
        items: node.namedChildren.flatMap((item) =>
          item && item.type !== 'comment' ? [valueOf(item, at)] : [],
        ),
        at: here,
      };
    case 'string':
      if (node.namedChildren.some((part) => part?.type === 'interpolation')) break;
      return { kind: 'string', text: literal(node), at: here };
    case 'number':
    case 'boolean':
      return { kind: node.type, text: node.text, at: here };
    case 'null':
      return { kind: 'null', at: here };
    case 'ternary_expression':
      return {
        kind: 'choice',
        options: [valueOf(child('consequence'), at), valueOf(child('alternative'), at)],
        at: here,
      };
    case 'if_statement':
      return { kind: 'choice', options: [valueOf(must(node.namedChildren.at(-1)), at)], at: here };
    case 'for_statement':
      return { kind: 'choice', options: [valueOf(child('body'), at)], at: here };
    default:
  }
  return { kind: 'expression', text: node.text, at: here };
}

/** Objects that a value may be: itself, or those that it chooses from. */
export function objectsOf(value: Value): (Value & { kind: 'object' })[] {
  if (value.kind === 'object') return [value];
  return value.kind === 'choice' ? value.options.flatMap(objectsOf) : [];
}

/** The property at `path` of a value that is one object; undefined where there is none. */
export function propertyOf(value: Value, ...path: string[]): Value | undefined {
  let current: Value | undefined = value;
  for (const name of path) current = current && objectsOf(current)[0]?.properties.get(name);
  return current;
}
