import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type BicepFile,
  INFRA,
  objectsOf,
  parseBicep,
  propertyOf,
  ROOT,
  readBicep,
  type Value,
} from './bicep.ts';
import { compare, readResourceTypes } from './bicepTypes.ts';

const files = globSync('**/*.bicep', { cwd: INFRA }).map((path) => readBicep(join(INFRA, path)));
const byPath = new Map(files.map((file) => [file.path, file]));
const nameOf = (file: BicepFile) => relative(INFRA, file.path);

/** Properties of a declaration that are Bicep's own, not the resource's. */
const BICEP_PROPERTIES = ['parent', 'scope', 'dependsOn'];

/** Bicep's name for the type of what is written out. */
const LITERAL_TYPES: Partial<Record<Value['kind'], string>> = {
  string: 'string',
  number: 'int',
  boolean: 'bool',
};

function declared(file: BicepFile): Set<string> {
  return new Set(
    [...file.params, ...file.variables]
      .map(({ name }) => name)
      .concat([...file.resources, ...file.modules].map(({ symbol }) => symbol)),
  );
}

/** Faults of one file by itself and of its calls of modules; each a line that names its place. */
function faults(file: BicepFile, find: (path: string) => BicepFile | undefined): string[] {
  const wrong = file.syntaxErrors.map((error) => `${error}: not understood`);
  const known = declared(file);
  const used = new Set(file.references.map(({ name }) => name));
  const modules = new Map(file.modules.map((module) => [module.symbol, module]));
  for (const { name, output, at } of file.references) {
    if (!known.has(name)) wrong.push(`${at} ${name} is declared nowhere`);
    const module = modules.get(name);
    const target = module && find(resolve(dirname(file.path), module.path));
    if (output !== undefined && target && !target.outputs.some((given) => given.name === output)) {
      wrong.push(`${at} ${module.path} has no output ${output}`);
    }
  }
  for (const name of [...file.params, ...file.variables].map((declaration) => declaration.name)) {
    if (!used.has(name)) wrong.push(`${file.path} ${name} is used nowhere`);
  }
  for (const module of file.modules) {
    const target = find(resolve(dirname(file.path), module.path));
    if (!target) wrong.push(`${module.at} ${module.path} does not exist`);
    for (const body of target ? objectsOf(module.body) : []) {
      const given = body.properties.get('params');
      const params = given?.kind === 'object' ? given.properties : new Map<string, never>();
      const wants = new Map(target?.params.map((param) => [param.name, param]));
      for (const [name, value] of params) {
        const type = wants.get(name)?.type;
        if (type === undefined) wrong.push(`${value.at} ${module.path} has no parameter ${name}`);
        const literal = LITERAL_TYPES[value.kind];
        if (type !== undefined && literal !== undefined && literal !== type.replace('?', '')) {
          wrong.push(`${value.at} ${name} of ${module.path} wants ${type}, got ${literal}`);
        }
      }
      for (const param of target?.params ?? []) {
        if (param.required && !params.has(param.name))
          wrong.push(`${module.at} ${module.path} needs ${param.name}`);
      }
      if (target?.targetScope !== file.targetScope && !body.properties.has('scope')) {
        wrong.push(`${module.at} ${module.path} is for a ${target?.targetScope}; the call names no scope`);
      }
    }
  }
  return wrong;
}

describe('the Bicep files', () => {
  it.each(files.map((file) => [nameOf(file), file] as const))(
    '%s: parses, refers only to what is declared, leaves nothing unused, calls modules as they are',
    (_, file) => {
      expect(faults(file, (path) => byPath.get(path))).toEqual([]);
    },
  );

  it('a fault of each kind is found: the check can fail', () => {
    const module = parseBicep(
      'param name string\nparam size int = 1\nvar both = name\noutput id string = both',
      '/m.bicep',
    );
    const find = (path: string) => (path === '/m.bicep' ? module : undefined);
    const check = (text: string) =>
      faults(parseBicep(text, '/main.bicep'), find).map((line) => line.replace(/^\S+ /, ''));
    const call = (params: string) => `module m './m.bicep' = { name: 'm', params: { ${params} } }`;
    expect(check('var x = {\n  a: }\noutput o object = x').join()).toContain('not understood');
    expect(check('output o string = nowhere')).toEqual(['nowhere is declared nowhere']);
    expect(check('param unused string')).toEqual(['unused is used nowhere']);
    expect(check("output o string[] = [for a in ['x']: a]")).toEqual([]);
    expect(check("module m './gone.bicep' = { name: 'm' }")).toEqual(['./gone.bicep does not exist']);
    expect(check(call("nmae: 'x'"))).toEqual(['./m.bicep has no parameter nmae', './m.bicep needs name']);
    expect(check(call("name: 'x', size: '2'"))).toEqual(['size of ./m.bicep wants int, got string']);
    expect(check(`${call("name: 'x'")}\noutput o string = m.outputs.ip`)).toEqual([
      './m.bicep has no output ip',
    ]);
    expect(check(`targetScope = 'subscription'\n${call("name: 'x'")}`)).toEqual([
      './m.bicep is for a resourceGroup; the call names no scope',
    ]);
  });

  it('are all reached from main.bicep', () => {
    const reached = new Set<string>();
    const visit = (path: string) => {
      if (reached.has(path)) return;
      reached.add(path);
      for (const module of byPath.get(path)?.modules ?? []) visit(resolve(dirname(path), module.path));
    };
    visit(join(INFRA, 'main.bicep'));
    expect([...byPath.keys()].filter((path) => !reached.has(path))).toEqual([]);
  });

  it('main.parameters.json gives every parameter that main.bicep needs, and only parameters it has', () => {
    const main = byPath.get(join(INFRA, 'main.bicep'));
    const { parameters } = JSON.parse(readFileSync(join(INFRA, 'main.parameters.json'), 'utf8')) as {
      parameters: Record<string, { value: string }>;
    };
    const names = main?.params.map(({ name }) => name) ?? [];
    const needed = main?.params.filter(({ required }) => required).map(({ name }) => name) ?? [];
    expect(names).toEqual(expect.arrayContaining(Object.keys(parameters)));
    expect(Object.keys(parameters)).toEqual(expect.arrayContaining(needed));
    for (const { value } of Object.values(parameters)) expect(value).toMatch(/^\$\{[A-Z_]+(=[\w,]*)?\}$/);
  });

  it('defaults in main.parameters.json are those of main.bicep', () => {
    const main = readFileSync(join(INFRA, 'main.bicep'), 'utf8');
    const parameters = readFileSync(join(INFRA, 'main.parameters.json'), 'utf8');
    const pairs = [...parameters.matchAll(/"(\w+)": \{ "value": "\$\{\w+=([^}]*)\}" \}/g)];
    expect(pairs.length).toBeGreaterThan(3);
    for (const [, name, fallback] of pairs) expect(main).toContain(`param ${name} string = '${fallback}'`);
  });

  it('abbreviations.json holds what is used, and nothing else', () => {
    const text = files.map((file) => file.text).join('\n');
    const used = new Set([...text.matchAll(/abbreviations\.(?!json)(\w+)/g)].map(([, name]) => name));
    const given = JSON.parse(readFileSync(join(INFRA, 'abbreviations.json'), 'utf8')) as object;
    expect(new Set(Object.keys(given))).toEqual(used);
  });

  it('one type is used with one API version', () => {
    const versions = new Map<string, Set<string>>();
    for (const { type, apiVersion } of files.flatMap((file) => file.resources)) {
      if (apiVersion) versions.set(type, (versions.get(type) ?? new Set()).add(apiVersion));
    }
    expect([...versions].filter(([, used]) => used.size !== 1)).toEqual([]);
  });
});

/**
 * Azure's type data is public but not ours, and large: it is read where it lies beside the project, and from the folder
 * in HOLDFAST_BICEP_TYPES (files that `azmcp bicepschema get --resource-type <type>` printed).
 */
const typeFolders = [
  join(ROOT, '..', 'shared', 'infra-types'),
  process.env['HOLDFAST_BICEP_TYPES'] ?? '',
].filter(existsSync);
const types = readResourceTypes(typeFolders);
const checkable = files.flatMap((file) =>
  file.resources
    .filter(({ type, apiVersion, existing }) => !existing && types.has(`${type}@${apiVersion}`.toLowerCase()))
    .map((resource) => [`${nameOf(file)}: ${resource.symbol} (${resource.type})`, resource] as const),
);

describe.skipIf(checkable.length === 0)(
  'resources against the type data of Azure (skipped where neither ../shared/infra-types nor HOLDFAST_BICEP_TYPES has it)',
  () => {
    it.each(checkable)('%s has the properties that Azure knows, as Azure wants them', (_, resource) => {
      const shape = types.get(`${resource.type}@${resource.apiVersion}`.toLowerCase());
      expect(shape && compare(resource.body, shape, resource.type, BICEP_PROPERTIES)).toEqual([]);
    });

    it('a misspelt property, a wrong type and a missing one are found: the check can fail', () => {
      const shape = types.get('microsoft.insights/diagnosticsettings@2021-05-01-preview');
      if (!shape) return;
      const file = parseBicep(
        `resource a 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
           name: 'a'
           properties: { workspceId: 'x', logs: [{ categoryGroup: 'audit', enabled: 'yes' }, {}] }
         }`,
        '/a.bicep',
      );
      const body = file.resources[0]?.body;
      expect(body && propertyOf(body, 'properties', 'logs')).toBeDefined();
      expect(body && compare(body, shape, 'a').map((line) => line.replace(/^\S+ /, ''))).toEqual([
        'a.properties has no property workspceId',
        'a.properties.logs[0].enabled wants boolean, got string',
        'a.properties.logs[1] needs enabled',
      ]);
    });
  },
);
