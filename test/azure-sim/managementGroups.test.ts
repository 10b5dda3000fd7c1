import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AzureConnection } from '../../lib/azure/connection.ts';
import { VirtualMachines } from '../../lib/azure/machines.ts';
import { ManagementGroups } from '../../lib/azure/managementGroups.ts';
import { MiB } from '../../lib/model/index.ts';
import { AzureSimulator } from '../../local/azure/index.ts';
import { trustAuthority } from '../support/azurite.ts';

/** The adapter and the simulator against each other: a tree of three levels, seven subscriptions, small pages. */
const sub = (n: number) => `${n}0000000-2222-3333-4444-555555555555`;
let folder: string;
let simulator: AzureSimulator;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-groups-'));
  simulator = await AzureSimulator.start({ stateFolder: folder });
  trustAuthority(simulator.tls.caPem);
  for (let n = 1; n <= 7; n++) simulator.addSubscription({ subscriptionId: sub(n), displayName: `S${n}` });
  simulator.addManagementGroup({ name: 'root', subscriptions: [sub(1)] });
  simulator.addManagementGroup({ name: 'Corp', parent: 'root', subscriptions: [sub(2), sub(3)] });
  simulator.addManagementGroup({ name: 'shops', parent: 'corp', subscriptions: [sub(4), sub(5), sub(6)] });
  simulator.addManagementGroup({ name: 'empty', parent: 'root' });
  simulator.defineRole({
    name: 'Discover',
    actions: ['Microsoft.Management/managementGroups/descendants/read'],
  });
});
afterAll(async () => {
  await simulator.stop();
  await rm(folder, { recursive: true, force: true });
});

function connectionOf(role: string, scope: string): AzureConnection {
  const { objectId } = simulator.addPrincipal({ name: `${role} at ${scope}` });
  simulator.assignRole({ principalId: objectId, role, scope });
  return new AzureConnection(
    { armEndpoint: simulator.url, subscriptionId: sub(1) },
    { credential: simulator.credential(objectId) },
  );
}
const group = (name: string) => `/providers/Microsoft.Management/managementGroups/${name}`;

test('subscriptions of every level below a group are found, over all pages', async () => {
  const groups = new ManagementGroups(connectionOf('Discover', group('root')));
  expect((await groups.subscriptionsBelow('root')).toSorted()).toEqual([1, 2, 3, 4, 5, 6].map(sub));
  expect(await groups.subscriptionsBelow('CORP')).toEqual([2, 3, 4, 5, 6].map(sub));
  expect(await groups.subscriptionsBelow('empty')).toEqual([]);
  const pages = simulator.requests({ path: 'managementGroups/root/descendants' });
  expect(pages.length).toBe(3);
});

test('a group that is not there, and one that may not be read, are told apart', async () => {
  const groups = new ManagementGroups(connectionOf('Discover', group('Corp')));
  expect(await groups.subscriptionsBelow('shops')).toEqual([4, 5, 6].map(sub));
  await expect(groups.subscriptionsBelow('root')).rejects.toMatchObject({ code: 'accessDenied' });
  const all = new ManagementGroups(connectionOf('Discover', '/'));
  await expect(all.subscriptionsBelow('nowhere')).rejects.toMatchObject({ code: 'notFound' });
});

test('a role at a management group holds in the subscriptions below it, those that move there included', async () => {
  const vms = (n: number) =>
    simulator.addVirtualMachine({
      subscription: sub(n),
      group: 'g',
      name: `vm${n}`,
      location: 'westeurope',
      osDisk: { sizeBytes: 8 * MiB },
      running: n === 4,
    });
  await vms(4);
  await vms(7);
  const machines = new VirtualMachines(connectionOf('Holdfast Protect', group('corp')));
  const names = async (n: number) => {
    const found: string[] = [];
    for await (const { name } of machines.list({ subscriptionId: sub(n) })) found.push(name);
    return found;
  };
  expect(await names(4)).toEqual(['vm4']);
  await expect(names(7)).rejects.toMatchObject({ code: 'accessDenied' });
  simulator.addManagementGroup({ name: 'shops', parent: 'corp', subscriptions: [sub(4), sub(7)] });
  expect(await names(7)).toEqual(['vm7']);
});

test('the power states of a subscription are one listing more', async () => {
  const machines = new VirtualMachines(connectionOf('Holdfast Protect', `/subscriptions/${sub(4)}`));
  expect([...(await machines.powerStates(sub(4))).values()]).toEqual(['running']);
});
