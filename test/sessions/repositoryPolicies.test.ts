import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AzureBlobStore } from '../../lib/azure/index.ts';
import { MiB, type PolicyInput, policySchema, repositoryPlaceSchema } from '../../lib/model/index.ts';
import { checkRepository } from '../../lib/repository/index.ts';
import { attachRepository, requestPolicyRun } from '../../lib/sessions/index.ts';
import { Lab } from './lab.ts';

describe('a policy that stores backups in several repositories', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
    for (const id of ['west', 'far']) {
      const place = repositoryPlaceSchema.parse({
        id,
        blobEndpoint: lab.azurite.blobUrl('holdfastapp'),
        metaContainer: `${id}-meta`,
        dataContainer: `${id}-data`,
      });
      for (const container of [place.metaContainer, place.dataContainer])
        await AzureBlobStore.withCredential(
          `${place.blobEndpoint}/${container}`,
          lab.azurite.credential(),
        ).ensureContainer();
      await attachRepository(lab.installation, place);
    }
  });
  afterAll(() => lab.stop());

  async function run(storage: PolicyInput['storage']): Promise<void> {
    const policy = policySchema.parse({
      id: 'nightly',
      scope: { machines: ['web'] },
      storage,
      mover: 'inline',
    });
    await lab.installation.catalog.policies.put(policy);
    const session = await requestPolicyRun(lab.installation, lab.instances, policy, null);
    // The run watches its machines: they go on between two looks.
    lab.beforeActivity = async (name) => {
      if (name === 'backUpMachines') await lab.run();
    };
    await lab.run();
    lab.beforeActivity = () => undefined;
    expect(await lab.session(session.id)).toMatchObject({ status: 'succeeded', error: null });
  }

  it('sends each machine where its region says, makes the copies, and begins another chain when it is changed', async () => {
    const machine = await lab.machine('web');
    const [disk] = (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks;
    const storage = { regions: { westeurope: 'west' }, copies: ['far'] };
    for (const next of [storage, storage, { repository: 'default', copies: ['far'] }]) {
      await lab.write(disk?.id ?? '', 30 * MiB, randomBytes(MiB));
      await run(next);
    }
    const names = new Map<string | null, string>();
    for (const { id } of await lab.installation.repositoryPlaces())
      names.set((await lab.installation.catalog.installation.repository(id))?.id ?? id, id);
    const rows = await lab.installation.catalog.points.listMachine(machine.id);
    const made = rows.map(({ point, repositoryId }) => [
      names.get(repositoryId),
      point.sequence,
      point.disks[0]?.readReason,
    ]);
    expect(made).toEqual([
      ['west', 1, 'first'],
      ['far', 1, 'first'],
      ['west', 2, 'changedBlocks'],
      ['far', 2, 'changedBlocks'],
      ['default', 1, 'first'],
      ['far', 3, 'changedBlocks'],
    ]);
    for (const id of names.values()) {
      const { meta, data } = await lab.installation.repository(id);
      const { unlock } = await lab.installation.repositoryAccess(id);
      expect((await checkRepository({ meta, data, unlock, depth: 'content' })).findings).toEqual([]);
    }
  });
});
