import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { stage } from '../../infra/stage.ts';
import { SETTING_NAMES, type Settings, settingsSchema } from '../../lib/installation/settings.ts';
import { workerPrefix } from '../../lib/installation/workerPrefix.ts';
import { readHostJson } from '../../local/functions-host/hostJson.ts';
import { INFRA, objectsOf, propertyOf, ROOT, readBicep } from './bicep.ts';

const app = readBicep(join(INFRA, 'app', 'function.bicep'));
const main = readBicep(join(INFRA, 'main.bicep'));

describe('app settings', () => {
  const settings = app.resources.find(({ symbol }) => symbol === 'appSettings');
  const [properties] = settings ? objectsOf(propertyOf(settings.body, 'properties') ?? settings.body) : [];
  const written = [...(properties?.properties.keys() ?? [])];
  const ours = written.filter((name) => name.startsWith('HOLDFAST_'));
  /** For other clouds, or tuning: the defaults are right for a deployment, and an operator may set them in the portal. */
  const LEFT_AT_DEFAULT = [
    'HOLDFAST_ARM_ENDPOINT',
    'HOLDFAST_AUTHORITY_HOST',
    'HOLDFAST_BLOCK_BYTES',
    'HOLDFAST_KEY_VAULT_KEY_NAME',
    'HOLDFAST_INLINE_BYTES',
    'HOLDFAST_PARALLEL_MACHINES',
    'HOLDFAST_POLL_SECONDS',
    'HOLDFAST_SESSION_DAYS',
    'HOLDFAST_SHARD_BYTES',
    'HOLDFAST_WORKER_KEEP',
    'HOLDFAST_WORKER_SLOTS',
  ];

  it('are exactly those that the app knows, but for those that are left at their defaults', () => {
    expect([...ours, ...LEFT_AT_DEFAULT].toSorted()).toEqual([...SETTING_NAMES].toSorted());
  });

  it('every setting without a default is written', () => {
    const required = SETTING_NAMES.filter((name) => !settingsSchema.shape[name].safeParse(undefined).success);
    expect(required.length).toBeGreaterThan(5);
    expect(required.filter((name) => !ours.includes(name))).toEqual([]);
  });

  it('names of containers and secrets are those that the app takes by default', () => {
    const call = main.modules.find(({ symbol }) => symbol === 'function');
    const param = (name: string) => call && propertyOf(call.body, 'params', name);
    const fallback = (name: keyof typeof settingsSchema.shape) => settingsSchema.shape[name].parse(undefined);
    for (const [name, setting] of [
      ['stagingContainer', 'HOLDFAST_STAGING_CONTAINER'],
      ['packageContainer', 'HOLDFAST_PACKAGE_CONTAINER'],
      ['metaContainer', 'HOLDFAST_META_CONTAINER'],
      ['dataContainer', 'HOLDFAST_DATA_CONTAINER'],
      ['passwordSecret', 'HOLDFAST_PASSWORD_SECRET'],
      ['installationKeySecret', 'HOLDFAST_INSTALLATION_KEY_SECRET'],
    ] as const) {
      expect({ [name]: param(name) }).toMatchObject({ [name]: { kind: 'string', text: fallback(setting) } });
    }
  });

  it('connect the Functions host by identity, and keep every trace', () => {
    expect(written.filter((name) => name.startsWith('AzureWebJobsStorage')).toSorted()).toEqual([
      'AzureWebJobsStorage__blobServiceUri',
      'AzureWebJobsStorage__clientId',
      'AzureWebJobsStorage__credential',
      'AzureWebJobsStorage__queueServiceUri',
      'AzureWebJobsStorage__tableServiceUri',
    ]);
    expect(properties?.properties.get('OTEL_TRACES_SAMPLER')).toMatchObject({
      text: 'parentbased_always_on',
    });
    expect(written).toContain('APPLICATIONINSIGHTS_AUTHENTICATION_STRING');
  });
});

describe('the network of the home region', () => {
  it('has the name by which the app looks for it, so that the app makes no second one', () => {
    expect(workerPrefix({ HOLDFAST_INSTALLATION_ID: 'abcdefghijklm' } as Settings)).toBe('hf-abcdefghijklm');
    expect(main.variables.find(({ name }) => name === 'networkPrefix')?.value).toMatchObject({
      text: "'hf-${resourceToken}-${location}'",
    });
    const call = main.modules.find(({ symbol }) => symbol === 'network');
    expect(call && propertyOf(call.body, 'params', 'virtualNetworkName')).toMatchObject({
      text: "'${networkPrefix}-vnet'",
    });
    expect(readBicep(join(INFRA, 'app', 'network.bicep')).text).toContain("name: 'workers'");
  });
});

describe('host.json', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('is read by the local host, with the task hub that the app settings name', async () => {
    vi.stubEnv('HOLDFAST_TASK_HUB', 'HubOfTheTest');
    expect(await readHostJson(ROOT)).toMatchObject({
      hubName: 'HubOfTheTest',
      routePrefix: 'api',
      maxConcurrentActivities: 10,
      maxConcurrentOrchestrators: 5,
      functionTimeout: 10 * 60 * 1000,
    });
  });

  it('lets the host report by OpenTelemetry, not by a pipeline of Durable that signs in with a key', async () => {
    const host = JSON.parse(await readFile(join(ROOT, 'host.json'), 'utf8')) as {
      telemetryMode: string;
      logging: object;
      extensionBundle: { version: string };
      extensions: { durableTask: { tracing?: object; storageProvider: { maxQueuePollingInterval: string } } };
    };
    expect(host.telemetryMode).toBe('OpenTelemetry');
    expect(host.extensions.durableTask.tracing).toBeUndefined();
    expect(host.logging).not.toHaveProperty('applicationInsights');
    expect(host.extensionBundle.version).toBe('[4.*, 5.0.0)');
    expect(host.extensions.durableTask.storageProvider.maxQueuePollingInterval).toBe('00:00:10');
  });
});

describe('azure.yaml', () => {
  const azureYaml = parse(readFileSync(join(ROOT, 'azure.yaml'), 'utf8')) as {
    services: { app: { dist: string; remoteBuild: boolean; host: string; hooks: { prepackage: object } } };
  };
  const schemaFile = join(ROOT, '..', 'shared', 'infra-types', 'azure.yaml.schema.json');

  it('deploys the staged folder as it is, to the site that is tagged for it', () => {
    expect(azureYaml.services.app).toMatchObject({
      dist: 'dist/deploy',
      remoteBuild: false,
      host: 'function',
    });
    expect(JSON.stringify(azureYaml.services.app.hooks.prepackage)).toContain('npm run build');
    expect(app.text).toContain("'azd-service-name': 'app'");
  });

  it.skipIf(!existsSync(schemaFile))(
    'fits the schema of azd (skipped where ../shared/infra-types does not have it)',
    () => {
      const schema = JSON.parse(readFileSync(schemaFile, 'utf8')) as object;
      const ajv = new Ajv2019({ strict: false, allErrors: true });
      // Extensions of azd describe their own services in files of theirs; ours uses none.
      for (const [, external] of JSON.stringify(schema).matchAll(/"\$ref":"(https:[^"#]+)"/g)) {
        if (external && !ajv.getSchema(external)) ajv.addSchema({ $id: external });
      }
      const validate = ajv.compile(schema);
      validate(azureYaml);
      expect(validate.errors).toBeNull();
      expect(validate({ ...azureYaml, nmae: 'x', name: 1 })).toBe(false);
    },
  );
});

describe('staging', () => {
  it('lays out the bundle, host.json and an entry that is there, and nothing that an earlier run left', async () => {
    const root = await mkdtemp(join(tmpdir(), 'holdfast-stage-'));
    try {
      await mkdir(join(root, 'dist', 'deploy'), { recursive: true });
      await writeFile(join(root, 'dist', 'deploy', 'stale.mjs'), '');
      for (const name of ['app.mjs', 'app.mjs.map', 'worker.mjs'])
        await writeFile(join(root, 'dist', name), name);
      await writeFile(join(root, 'host.json'), '{}');
      await writeFile(
        join(root, 'package.json'),
        '{ "name": "holdfast", "version": "1.2.3", "scripts": {} }',
      );
      await stage(root);
      const deploy = join(root, 'dist', 'deploy');
      expect(readdirSync(deploy).toSorted()).toEqual(['app.mjs', 'app.mjs.map', 'host.json', 'package.json']);
      expect(JSON.parse(await readFile(join(deploy, 'package.json'), 'utf8'))).toEqual({
        name: 'holdfast',
        version: '1.2.3',
        private: true,
        type: 'module',
        main: 'app.mjs',
      });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
