import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { AdminClient } from '../../local/azure/index.ts';
import { GROUP, LOCATION, Rig } from './rig.ts';

/** A worker that asks its metadata service for a token, says what it found, and stays. */
const SCRIPT = `
const { readFileSync, appendFileSync } = require('node:fs');
const settings = JSON.parse(readFileSync('/etc/holdfast/worker.json', 'utf8'));
const host = process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST;
const get = (path) => fetch(host + path, { headers: { Metadata: 'true' } }).then((r) => r.json());
(async () => {
  const token = await get('/metadata/identity/oauth2/token?api-version=2018-02-01&resource=' + encodeURIComponent('api://holdfast'));
  const instance = await get('/metadata/instance?api-version=2021-02-01');
  const claims = JSON.parse(Buffer.from(token.access_token.split('.')[1], 'base64url'));
  console.log('READY ' + JSON.stringify({ settings, oid: claims.oid, aud: claims.aud, vmId: instance.compute.vmId, env: Object.keys(process.env).sort(), unit: process.env.FROM_UNIT }));
  if (settings.crash) process.exit(3);
  process.on('SIGTERM', () => { if (!settings.stubborn) { console.log('BYE'); process.exit(0); } });
  setInterval(() => {}, 1000);
})();
`;

const UNIT = `[Unit]
Description=Holdfast worker
[Service]
ExecStart=node /opt/holdfast/worker.cjs "two words"
Environment=FROM_UNIT=yes
Restart=on-failure
RestartSec=5
[Install]
WantedBy=multi-user.target
`;

const cloudInit = (settings: object) =>
  Buffer.from(
    `#cloud-config\n${stringify({
      write_files: [
        { path: '/etc/holdfast/worker.json', content: JSON.stringify(settings), permissions: '0600' },
        {
          path: '/opt/holdfast/worker.cjs',
          encoding: 'b64',
          content: Buffer.from(SCRIPT).toString('base64'),
        },
        { path: '/etc/systemd/system/holdfast-worker.service', content: UNIT },
        { path: '/etc/passwd', content: 'never' },
      ],
      runcmd: [['systemctl', 'enable', '--now', 'holdfast-worker.service']],
    })}`,
  ).toString('base64');

const alive = (pid: number) => {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('guests', () => {
  let rig: Rig;
  let subnet: string;
  beforeAll(async () => {
    rig = await Rig.start({ settings: { guests: { stopGraceMs: 300 } } });
    const vnet = await rig.network().virtualNetworks.createOrUpdate(GROUP, 'v', {
      location: LOCATION,
      addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
      subnets: [{ name: 'default', addressPrefix: '10.1.0.0/24' }],
    });
    subnet = vnet.subnets?.[0]?.id as string;
  });
  afterAll(() => rig.stop());

  const create = (name: string, settings: object) =>
    rig.compute().virtualMachines.createOrUpdate(GROUP, name, {
      location: LOCATION,
      hardwareProfile: { vmSize: 'Standard_B2s' },
      identity: { type: 'SystemAssigned' },
      storageProfile: {
        imageReference: { publisher: 'Debian' },
        osDisk: { createOption: 'FromImage', deleteOption: 'Delete' },
      },
      osProfile: { computerName: name, adminUsername: 'holdfast', customData: cloudInit(settings) },
      networkProfile: {
        networkApiVersion: '2022-11-01',
        networkInterfaceConfigurations: [
          {
            name: 'nic',
            primary: true,
            deleteOption: 'Delete',
            ipConfigurations: [{ name: 'ip', subnet: { id: subnet } }],
          },
        ],
      },
    });
  const guest = (name: string) =>
    rig.simulator.runningGuests().find(({ machineId }) => machineId.endsWith(`/${name}`));
  const reports = async (file: string) =>
    [...(await readFile(file, 'utf8').catch(() => '')).matchAll(/^READY (.*)$/gm)].map(
      ([, json]) => JSON.parse(json as string) as Record<string, unknown>,
    );
  const soon = { timeout: 10_000, interval: 20 };

  it("boots the worker of the cloud-init with the machine's own identity, and nothing else of the environment", async () => {
    const machine = await create('w1', { greeting: 'hello' });
    const { console: file, pid } = await expect
      .poll(() => guest('w1'), soon)
      .toMatchObject({ pid: expect.any(Number) })
      .then(() => guest('w1') as { console: string; pid: number });
    await expect.poll(() => reports(file), soon).toHaveLength(1);
    const [report] = await reports(file);
    expect(report).toEqual({
      settings: { greeting: 'hello' },
      oid: machine.identity?.principalId,
      aud: 'api://holdfast',
      vmId: machine.vmId,
      unit: 'yes',
      env: [
        'AZURE_POD_IDENTITY_AUTHORITY_HOST',
        'CURL_CA_BUNDLE',
        'FROM_UNIT',
        'HOME',
        'LANG',
        'NODE_EXTRA_CA_CERTS',
        'PATH',
        'SSL_CERT_FILE',
        'TMPDIR',
      ],
    });
    expect(await readFile(file, 'utf8')).toContain('/etc/passwd is outside');
    await rig.compute().virtualMachines.deallocate(GROUP, 'w1');
    expect(alive(pid)).toBe(false);
    expect(guest('w1')).toBeUndefined();
    expect(await readFile(file, 'utf8')).toContain('BYE');
    await rig.compute().virtualMachines.start(GROUP, 'w1');
    await expect.poll(() => reports(file), soon).toHaveLength(2);
    await rig.compute().virtualMachines.delete(GROUP, 'w1');
    expect(guest('w1')).toBeUndefined();
    await expect.poll(() => readFile(file, 'utf8').catch(() => 'gone'), soon).toBe('gone');
  });

  it('kills a guest that does not heed SIGTERM', async () => {
    await create('w2', { stubborn: true });
    await expect.poll(() => guest('w2')?.pid, soon).toBeGreaterThan(0);
    const { pid, console: file } = guest('w2') as { pid: number; console: string };
    await expect.poll(() => reports(file), soon).toHaveLength(1);
    await rig.compute().virtualMachines.powerOff(GROUP, 'w2');
    await rig.compute().virtualMachines.delete(GROUP, 'w2');
    expect(alive(pid)).toBe(false);
  });

  it('starts a crashed worker again', async () => {
    await create('w3', { crash: true });
    await expect.poll(() => guest('w3')?.console, soon).toBeTruthy();
    const file = guest('w3')?.console as string;
    await expect.poll(async () => (await reports(file)).length, soon).toBeGreaterThan(1);
    await rig.compute().virtualMachines.delete(GROUP, 'w3');
  });

  it('boots running machines again after a restart', async () => {
    await create('w4', {});
    await expect.poll(() => guest('w4')?.pid, soon).toBeGreaterThan(0);
    const { pid, console: file } = guest('w4') as { pid: number; console: string };
    await expect.poll(() => reports(file), soon).toHaveLength(1);
    await rig.restart();
    expect(alive(pid)).toBe(false);
    await expect.poll(() => reports(file), soon).toHaveLength(2);
    await rig.compute().virtualMachines.delete(GROUP, 'w4');
  });

  it('leaves no guest behind when the simulator is killed, and boots it at the next start', async () => {
    await create('w5', {});
    await expect.poll(() => guest('w5')?.pid, soon).toBeGreaterThan(0);
    await rig.simulator.stop();
    const main = fileURLToPath(new URL('../../local/azure/main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, '--state', rig.folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [line] = await new Promise<string[]>((resolve) => {
      createInterface({ input: child.stdout }).once('line', (text) => resolve([text]));
    });
    const admin = new AdminClient(JSON.parse(line as string) as { adminUrl: string; adminKey: string });
    await expect.poll(async () => (await admin.call('runningGuests'))[0]?.pid, soon).toBeGreaterThan(0);
    const [running] = await admin.call('runningGuests');
    child.kill('SIGKILL');
    await expect.poll(() => alive(running?.pid as number), soon).toBe(false);
    await rig.open();
    await expect.poll(() => guest('w5')?.pid, soon).toBeGreaterThan(0);
    expect(rig.simulator.runningGuests()).toHaveLength(1);
  });
});
