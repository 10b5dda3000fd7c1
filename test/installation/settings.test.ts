import { describe, expect, it } from 'vitest';
import { readSettings, SETTING_NAMES } from '../../lib/installation/settings.ts';

const complete = {
  HOLDFAST_INSTALLATION_ID: 'demo',
  HOLDFAST_SUBSCRIPTION_IDS: 'sub-1, sub-2',
  HOLDFAST_LOCATION: 'westeurope',
  HOLDFAST_TENANT_ID: 'tenant',
  HOLDFAST_TABLE_ENDPOINT: 'https://app.table.core.windows.net/',
  HOLDFAST_BLOB_ENDPOINT: 'https://app.blob.core.windows.net',
  HOLDFAST_REPOSITORY_ENDPOINT: 'https://repo.blob.core.windows.net',
  HOLDFAST_KEY_VAULT_URL: 'https://vault.vault.azure.net',
  HOLDFAST_WORKER_RESOURCE_GROUP: 'workers',
  HOLDFAST_WORKER_AUDIENCE: 'api://holdfast',
  HOLDFAST_APP_URL: 'https://app.azurewebsites.net',
};

describe('settings', () => {
  it('reads lists, trims trailing slashes and fills in defaults', () => {
    const settings = readSettings({ ...complete, HOLDFAST_POLL_SECONDS: '' });
    expect(settings.HOLDFAST_SUBSCRIPTION_IDS).toEqual(['sub-1', 'sub-2']);
    expect(settings.HOLDFAST_TABLE_ENDPOINT).toBe('https://app.table.core.windows.net');
    expect(settings.HOLDFAST_POLL_SECONDS).toBe(5);
    expect(settings.HOLDFAST_BLOCK_BYTES).toBe(524288);
  });

  it('names every setting that is missing or wrong at once, and shows no value', () => {
    const wrong = {
      ...complete,
      HOLDFAST_TENANT_ID: undefined,
      HOLDFAST_KEY_VAULT_URL: 'http://user:pw@insecure',
    };
    expect(() => readSettings(wrong)).toThrowError(/HOLDFAST_TENANT_ID.*HOLDFAST_KEY_VAULT_URL/);
    expect(() => readSettings(wrong)).not.toThrowError(/pw@/);
  });

  it('holds no secret by name', () => {
    expect(SETTING_NAMES.filter((name) => /PASSWORD$|KEY$|TOKEN$|CONNECTION/.test(name))).toEqual([]);
  });
});
