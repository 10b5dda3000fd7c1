import { globSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DELETES_SNAPSHOTS_ONLY } from '../../local/azure/roleConditions.ts';
import { ROLE_DEFINITIONS } from '../../local/azure/roles.ts';
import { INFRA, objectsOf, propertyOf, type Resource, readBicep, type Value } from './bicep.ts';

const files = globSync('**/*.bicep', { cwd: INFRA }).map((path) => readBicep(join(INFRA, path)));
const resources = files.flatMap((file) => file.resources);
const ofType = (type: string): Resource[] =>
  resources.filter((resource) => resource.type === type && !resource.existing);
const text = (value: Value | undefined) =>
  value && 'text' in value ? value.text : value && `(${value.kind}, ${value.at})`;

/** Built-in roles by the ids that Azure publishes; the same everywhere. */
const BUILT_IN: Readonly<Record<string, string>> = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b',
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe',
  'Storage Blob Delegator': 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a',
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88',
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3',
  'Key Vault Secrets User': '4633458b-17de-408a-874b-0445c86b69e6',
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7',
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb',
};
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

describe('no keys and no secrets', () => {
  it('nothing asks Azure for keys, and no template handles a secret', () => {
    const forbidden =
      /\blist(?:Keys|AccountSas|ServiceSas|Secrets|Credentials)?\s*\(|\.list\w*\(|getSecret\(|@secure\(|vaults\/secrets|AccountKey=|SharedAccessSignature=|sig=/gi;
    expect(
      files.flatMap((file) => [...file.text.matchAll(forbidden)].map((found) => `${file.path}: ${found[0]}`)),
    ).toEqual([]);
  });

  it('every storage account refuses shared keys and anonymous readers, and speaks TLS 1.2 or later', () => {
    const accounts = ofType('Microsoft.Storage/storageAccounts');
    expect(accounts.length).toBeGreaterThan(0);
    for (const { body } of accounts) {
      const setting = (name: string) => text(propertyOf(body, 'properties', name));
      expect(setting('allowSharedKeyAccess')).toBe('false');
      expect(setting('allowBlobPublicAccess')).toBe('false');
      expect(setting('isLocalUserEnabled')).toBe('false');
      expect(setting('supportsHttpsTrafficOnly')).toBe('true');
      expect(setting('minimumTlsVersion')).toBe('TLS1_2');
    }
    for (const { body } of ofType('Microsoft.Storage/storageAccounts/blobServices/containers')) {
      expect(text(propertyOf(body, 'properties', 'publicAccess'))).toBe('None');
    }
  });

  it('telemetry takes Entra identities only', () => {
    for (const { body } of ofType('Microsoft.Insights/components')) {
      expect(text(propertyOf(body, 'properties', 'DisableLocalAuth'))).toBe('true');
    }
    for (const { body } of ofType('Microsoft.OperationalInsights/workspaces')) {
      expect(text(propertyOf(body, 'properties', 'features', 'disableLocalAuth'))).toBe('true');
    }
  });

  it('the app has an identity, refuses plain HTTP and publishing passwords', () => {
    const [site, ...others] = ofType('Microsoft.Web/sites');
    expect(others).toEqual([]);
    expect(site && text(propertyOf(site.body, 'identity', 'type'))).toBe('UserAssigned');
    expect(site && text(propertyOf(site.body, 'properties', 'httpsOnly'))).toBe('true');
    const policies = ofType('Microsoft.Web/sites/basicPublishingCredentialsPolicies');
    expect(
      policies.map(({ body }) => [
        text(propertyOf(body, 'name')),
        text(propertyOf(body, 'properties', 'allow')),
      ]),
    ).toEqual([
      ['ftp', 'false'],
      ['scm', 'false'],
    ]);
  });

  it('the key vault is governed by roles and cannot be purged early, and its reads are logged', () => {
    const [vault] = ofType('Microsoft.KeyVault/vaults');
    for (const name of ['enableRbacAuthorization', 'enableSoftDelete', 'enablePurgeProtection']) {
      expect([name, vault && text(propertyOf(vault.body, 'properties', name))]).toEqual([name, 'true']);
    }
    expect(
      ofType('Microsoft.Insights/diagnosticSettings').map(({ body }) => text(propertyOf(body, 'scope'))),
    ).toEqual(['vault']);
  });

  it('what is named like a secret holds the name of one: no literal value', () => {
    const literals: string[] = [];
    const visit = (value: Value | undefined, name: string): void => {
      if (
        value?.kind === 'string' &&
        !GUID.test(value.text) &&
        /password|secret|token$|key$|credential$|connectionstring/i.test(name)
      ) {
        literals.push(`${name}: ${value.text}`);
      }
      if (value?.kind === 'object') for (const [key, inner] of value.properties) visit(inner, key);
      if (value?.kind === 'array') for (const item of value.items) visit(item, name);
      if (value?.kind === 'choice') for (const option of value.options) visit(option, name);
    };
    for (const file of files) {
      for (const { body } of [...file.resources, ...file.modules]) visit(body, '');
      for (const { name, value } of [...file.variables, ...file.outputs]) visit(value, name);
    }
    expect(literals).toEqual([
      'passwordSecret: holdfast-repository-password',
      'installationKeySecret: holdfast-installation-key',
      // How to sign in, not with what.
      'AzureWebJobsStorage__credential: managedidentity',
    ]);
  });

  it('no long literal looks like a key', () => {
    const strings = files.flatMap((file) => file.strings);
    const suspicious = strings.filter(({ text }) => /^[A-Za-z0-9+/=_-]{32,}$/.test(text) && !GUID.test(text));
    expect(suspicious).toEqual([]);
  });

  it('nothing comes in to workers, and none gets an outbound address by default', () => {
    const [group] = ofType('Microsoft.Network/networkSecurityGroups');
    const rules = group && propertyOf(group.body, 'properties', 'securityRules');
    const items = rules?.kind === 'array' ? rules.items : [];
    expect(
      items.map((rule) => ['direction', 'access'].map((name) => text(propertyOf(rule, 'properties', name)))),
    ).toEqual([['Inbound', 'Deny']]);
    const [network] = ofType('Microsoft.Network/virtualNetworks');
    const subnets = network && propertyOf(network.body, 'properties', 'subnets');
    for (const subnet of subnets?.kind === 'array' ? subnets.items : []) {
      expect(text(propertyOf(subnet, 'properties', 'defaultOutboundAccess'))).toBe('false');
    }
  });
});

describe('roles', () => {
  it('every role id is in the table, under its own name', () => {
    const named = files.flatMap((file) =>
      file.variables
        .filter(({ name }) => name === 'roles')
        .flatMap(({ value }) => objectsOf(value).flatMap(({ properties }) => [...properties])),
    );
    expect(named.length).toBeGreaterThan(0);
    for (const [name, value] of named) expect([name, text(value)]).toEqual([name, BUILT_IN[name]]);
    const ids = files.flatMap((file) => file.strings.filter(({ text }) => GUID.test(text)));
    expect(ids).toHaveLength(named.length);
  });

  it('every assignment names itself from scope, principal and role, and says what the principal is', () => {
    const assignments = ofType('Microsoft.Authorization/roleAssignments');
    expect(assignments.length).toBeGreaterThan(5);
    for (const { body, at } of assignments) {
      for (const { properties } of objectsOf(body)) {
        const name = text(properties.get('name'));
        expect(`${at} ${name}`).toMatch(/ guid\(.*(principalId|operatorId).*\)$/);
        const inner = properties.get('properties');
        expect(['ServicePrincipal', 'operatorType']).toContain(
          inner && text(propertyOf(inner, 'principalType')),
        );
      }
    }
  });

  it('the custom roles are those that the local simulator enforces, action by action', () => {
    const roles = ofType('Microsoft.Authorization/roleDefinitions').map(({ symbol, body }) => {
      const permissions = propertyOf(body, 'properties', 'permissions');
      const [first, ...more] = permissions?.kind === 'array' ? permissions.items : [];
      expect(more).toEqual([]);
      const list = (name: string) => {
        const value = first && propertyOf(first, name);
        return value?.kind === 'array' ? value.items.map((item) => text(item) ?? '') : [];
      };
      expect([...list('notActions'), ...list('notDataActions')]).toEqual([]);
      return [symbol, { actions: list('actions').toSorted(), data: list('dataActions').toSorted() }] as const;
    });
    const bySymbol = new Map(roles);
    const names = {
      protect: 'Protect',
      guest: 'Guest',
      worker: 'Worker',
      restore: 'Restore',
      unmanagedDisks: 'Unmanaged Disks',
    };
    for (const [symbol, name] of Object.entries(names)) {
      const simulated = ROLE_DEFINITIONS.find((role) => role.name === `Holdfast ${name}`);
      const { actions = [], dataActions = [] } = simulated ?? {};
      expect({ [symbol]: bySymbol.get(symbol) }).toEqual({
        [symbol]: { actions: actions.toSorted(), data: dataActions.toSorted() },
      });
    }
    expect([...bySymbol.keys()].toSorted()).toEqual(['placement', ...Object.keys(names)].toSorted());
    expect(bySymbol.get('placement')?.actions.filter((action) => !action.endsWith('/read'))).toEqual([]);
    const withData = [...bySymbol].filter(([, { data }]) => data.length > 0).map(([symbol]) => symbol);
    expect(withData).toEqual(['unmanagedDisks']);
  });

  it('what may delete in storage accounts of others deletes snapshots only', () => {
    const conditions = ofType('Microsoft.Authorization/roleAssignments').flatMap(({ at, body }) =>
      objectsOf(body)
        .map(({ properties }) => properties.get('properties'))
        .map((inner) => inner && text(propertyOf(inner, 'condition')))
        .filter((condition) => condition !== undefined)
        // As it is deployed: without the escapes of the template.
        .map((condition) => ({ at, condition: condition.replaceAll(String.raw`\'`, "'") })),
    );
    expect(conditions).toEqual([{ at: expect.any(String) as string, condition: DELETES_SNAPSHOTS_ONLY }]);
    expect(conditions[0]?.at).toContain('vhdAccess.bicep');
  });

  it('no role can list keys, hand out roles, log in to or run commands in a machine, but the one for guest scripts', () => {
    const dangerous = /listKeys|listSas|Authorization\/|login|runCommand|^\*|vaults/i;
    for (const { body, symbol } of ofType('Microsoft.Authorization/roleDefinitions')) {
      const permissions = propertyOf(body, 'properties', 'permissions');
      const actions =
        permissions?.kind === 'array' ? permissions.items.map((item) => propertyOf(item, 'actions')) : [];
      for (const list of actions) {
        const items = list?.kind === 'array' ? list.items.map((item) => text(item) ?? '') : [];
        const seen = items.filter((action) => dangerous.test(action));
        expect([symbol, seen]).toEqual([symbol, symbol === 'guest' ? items : []]);
        expect([symbol, new Set(items).size]).toEqual([symbol, items.length]);
      }
    }
  });
});
