import type { AdminClient } from './azure/index.ts';
import { DELETES_SNAPSHOTS_ONLY } from './azure/roleConditions.ts';
import { addVhdAccount } from './demo/machines.ts';
import { DEMO } from './demo/subscription.ts';

/** What the simulated tenant holds for a local run. Headers are secrets: whoever has one gets that identity's tokens. */
export interface Tenant {
  readonly keyVaultUrl: string;
  readonly appHeader: string;
  readonly deployerHeader: string;
}

const APP_ID = '7d1c6f2e-0b54-4c3e-9a6f-3d0de3000011';
const DEPLOYER_ID = '7d1c6f2e-0b54-4c3e-9a6f-3d0de3000012';

/**
 * Subscription, resource groups, vault, the app's identity and its roles: what an administrator and infra/ set up on Azure,
 * with the same rights and no more. Idempotent.
 */
export async function furnish(admin: AdminClient): Promise<Tenant> {
  const { subscriptionId: subscription, location } = DEMO;
  await admin.call('addSubscription', { subscriptionId: subscription, displayName: DEMO.subscriptionName });
  for (const name of [DEMO.resourceGroup, DEMO.workerResourceGroup, DEMO.appResourceGroup]) {
    await admin.call('addResourceGroup', { subscription, name, location });
  }
  const vault = await admin.call('addKeyVault', {
    subscription,
    group: DEMO.appResourceGroup,
    name: 'holdfast',
  });
  await admin.call('addPrincipal', { name: 'holdfast', objectId: APP_ID });
  await admin.call('addPrincipal', { name: 'deployment', objectId: DEPLOYER_ID });
  const scope = `/subscriptions/${subscription}`;
  for (const [principalId, role, at] of [
    [APP_ID, 'Holdfast Protect', scope],
    [APP_ID, 'Holdfast Restore', scope],
    [APP_ID, 'Holdfast Guest', scope],
    [APP_ID, 'Holdfast Worker', `${scope}/resourceGroups/${DEMO.workerResourceGroup}`],
    [APP_ID, 'Key Vault Secrets User', vault.id],
    [DEPLOYER_ID, 'Key Vault Secrets Officer', vault.id],
  ] as const) {
    await admin.call('assignRole', { principalId, role, scope: at });
  }
  const vhds = await addVhdAccount(admin);
  await admin.call('assignRole', {
    principalId: APP_ID,
    role: 'Holdfast Unmanaged Disks',
    scope: vhds.id,
    condition: DELETES_SNAPSHOTS_ONLY,
  });
  const app = await admin.call('registerApp', { name: 'holdfast', systemAssigned: APP_ID });
  const deployer = await admin.call('registerApp', { name: 'deployment', systemAssigned: DEPLOYER_ID });
  return { keyVaultUrl: vault.url, appHeader: app.header, deployerHeader: deployer.header };
}
