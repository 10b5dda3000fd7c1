import { ComputeManagementClient } from '@azure/arm-compute';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, protectionSchema, restorePointName } from '../../lib/model/index.ts';
import { discover } from '../../lib/sessions/machines/discovery.ts';
import { requestBackup } from '../../lib/sessions/requests.ts';
import { GROUP, Lab, SUBSCRIPTION, WORKERS } from './lab.ts';
import { ask } from './snapshots/support.ts';

interface Resource {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly tags?: Readonly<Record<string, string>>;
}

const OWNER = { 'holdfast-owner': 'lab' };
const kindOf = ({ type }: Resource): string => type.split('/').at(-1) ?? '';

describe('the tag of the installation', () => {
  let lab: Lab;
  let machine: Machine;
  let client: ComputeManagementClient;
  let owner: string;
  beforeAll(async () => {
    lab = await Lab.start();
    machine = await lab.machine('tagged', 1);
    owner = lab.simulator.addPrincipal({ name: 'owner' }).objectId;
    lab.simulator.assignRole({ principalId: owner, role: 'Owner', scope: `/subscriptions/${SUBSCRIPTION}` });
    client = new ComputeManagementClient(lab.simulator.credential(owner), SUBSCRIPTION, {
      endpoint: lab.simulator.url,
    });
  });
  afterAll(() => lab.stop());

  /** Everything that Azure lists in the groups of the machines and of the workers. */
  async function resources(): Promise<Resource[]> {
    const scope = 'https://management.azure.com/.default';
    const { token } = await lab.simulator.credential(owner).getToken(scope);
    const url = `${lab.simulator.url}/subscriptions/${SUBSCRIPTION}/resources?api-version=2021-04-01`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    return ((await answer.json()) as { value: Resource[] }).value;
  }
  /** Runs `act`, and tells what was not there before it. */
  async function madeBy(act: () => Promise<unknown>): Promise<Resource[]> {
    const before = new Set((await resources()).map(({ id }) => id));
    await act();
    return (await resources()).filter(({ id }) => !before.has(id));
  }

  it('is on snapshots and on restored disks', async () => {
    const made = await madeBy(async () => {
      const { restorePoint } = await ask(lab, machine);
      if (!restorePoint) throw new Error('There is no restore point.');
      await lab.restore({ restorePoint: restorePointName(restorePoint) });
    });
    expect(made.map(kindOf).sort()).toEqual(['disks', 'disks', 'snapshots', 'snapshots']);
    for (const { tags } of made) expect(tags).toMatchObject(OWNER);
  });

  it('is on what lives for a moment: collections of restore points and commands in the guest', async () => {
    const seen: { what: string; tags: Record<string, string> | undefined }[] = [];
    lab.beforeActivity = async (name) => {
      if (name === 'watchRestorePoint')
        for await (const { tags } of client.restorePointCollections.list(GROUP))
          seen.push({ what: 'collection', tags });
      if (name === 'watchGuestScript')
        for await (const { tags } of client.virtualMachineRunCommands.listByVirtualMachine(GROUP, 'tagged'))
          seen.push({ what: 'command', tags });
    };
    const scripts = {
      linux: { before: `write-disk ${8 * MiB} quiet`, after: `write-disk ${8 * MiB} awake` },
    };
    const session = await ask(lab, machine, { consistency: { mode: 'machine', scripts } });
    lab.beforeActivity = () => undefined;
    expect(session.error).toBeNull();
    expect([...new Set(seen.map(({ what }) => what))].sort()).toEqual(['collection', 'command']);
    for (const { tags } of seen) expect(tags).toMatchObject(OWNER);
  });

  it('is on workers and their network, but not on the disk and the NIC that come and go with a VM', async () => {
    const made = await madeBy(async () => {
      const { id: sessionId } = await requestBackup(lab.installation, lab.instances, {
        machine,
        protection: protectionSchema.parse({ mover: 'worker' }),
        reason: 'test',
        policyId: null,
        parentId: null,
      });
      await lab.activity('openSession', { sessionId });
      await lab.activity('launchWorker', { sessionId });
    });
    const [worker] = made.filter(({ type }) => type.endsWith('/virtualMachines'));
    expect(worker?.id).toContain(`/resourceGroups/${WORKERS}/`);
    const named = ({ tags }: Resource) => tags?.['holdfast-owner'] === 'lab';
    expect(made.filter(named).map(kindOf).sort()).toEqual([
      'networkSecurityGroups',
      'virtualMachines',
      'virtualNetworks',
    ]);
    // These go by their names: Azure makes them with the VM, and deletes them with it.
    const others = made.filter((resource) => !named(resource));
    expect(others.map(kindOf).sort()).toEqual(['disks', 'networkInterfaces']);
    for (const { name } of others) expect(name).toMatch(new RegExp(`^${worker?.name}-(os$|nic)`));
    // A VM with the tag is no machine to protect.
    const { machines } = await discover(lab.installation, []);
    expect(machines.map(({ machine: { name } }) => name)).toEqual(['tagged']);
  });
});
