import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type MachineConfiguration, type Session } from '../../model/index.ts';
import { chooseDisks } from '../backup/supported.ts';
import { note, warn } from '../live.ts';
import type { BackupState, PreparedSnapshots } from '../state.ts';
import { type SnapshotMetadata, sealMetadata } from './metadata.ts';
import type { DiskToTag, TagPlan } from './tags.ts';
import { planTags } from './tags.ts';

type Request = BackupState['request'];

interface Looked {
  readonly configuration: MachineConfiguration;
  /** The numbers of the disks, by `uniqueId`. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly chain: SnapshotMetadata['chain'];
}

/**
 * Decides how the snapshots of a machine will be made, and checks what can be checked before the first: the group is there,
 * the region can keep them as asked, and their tags fit.
 *
 * @throws `notFound` for a target group that does not exist; `unsupported` for a redundancy that the region lacks; `tagLimit`
 */
export async function prepareSnapshots(
  installation: Installation,
  session: Pick<Session, 'id' | 'policyId'>,
  request: Request,
  { configuration, numbers, chain }: Looked,
): Promise<PreparedSnapshots> {
  const { key } = await installation.identity();
  const { machine } = configuration;
  const chosen = chooseDisks(configuration, request.protection);
  for (const warning of chosen.warnings) await warn(installation, session.id, warning);
  for (const { name, why } of chosen.leftOut)
    if (!chosen.warnings.some((warning) => warning.includes(name)))
      await note(installation, session.id, `Disk ${name} is left out: ${why}.`);
  const disks = chosen.disks
    .map((disk) => ({ number: numbers.get(disk.uniqueId) ?? 0, disk }))
    .sort((a, b) => a.number - b.number);
  const metadata: SnapshotMetadata = {
    version: 1,
    configuration,
    policyId: session.policyId,
    chain,
    disks: disks.map(({ number, disk }) => ({ number, uniqueId: disk.uniqueId })),
    retention: request.manual ? null : request.protection.snapshots.retention,
  };
  const prepared: PreparedSnapshots = {
    configuration,
    sealed: sealMetadata(metadata, session.id, key),
    disks,
    leftOut: [...chosen.leftOut],
    resourceGroup: await targetGroup(installation, request, configuration),
    sku: await skuOf(installation, request, machine.subscriptionId, machine.location),
  };
  const tags = await tagsOf(installation, session.id, 1, request, prepared);
  for (const { number, disk } of disks)
    installation.azure.snapshots.checkTags(disk.id, tags.get(number) ?? {}, `snapshot of disk ${disk.name}`);
  return prepared;
}

/** The tags of each disk's snapshot. The same for the same set, so that a step that runs twice says the same. */
export async function tagsOf(
  installation: Installation,
  sessionId: string,
  set: number,
  { protection, flags, manual, expiresAt }: Request,
  { configuration, sealed, disks }: PreparedSnapshots,
): Promise<Map<number, Record<string, string>>> {
  const { id: owner } = await installation.identity();
  const { copyTags, tags } = protection.snapshots;
  const plan: TagPlan = {
    owner,
    sessionId,
    setId: String(set),
    machineId: configuration.machine.id,
    sealed,
    disks: disks.map(
      ({ number, disk }): DiskToTag => ({
        number,
        name: disk.name,
        copied: copyTags ? ((disk.configuration['tags'] ?? {}) as Record<string, string>) : {},
      }),
    ),
    custom: tags,
    flags,
    manual,
    expiresAt: manual ? expiresAt : null,
  };
  return planTags(plan, `machine ${configuration.machine.name}`);
}

async function targetGroup(
  { azure }: Installation,
  { protection }: Request,
  { machine }: MachineConfiguration,
): Promise<string> {
  const { resourceGroup } = protection.snapshots;
  if (resourceGroup === null) return machine.resourceGroup;
  const { subscriptionId, name } = machine;
  if (await azure.snapshots.groupExists(subscriptionId, resourceGroup)) return resourceGroup;
  throw new HoldfastError(
    'notFound',
    `The snapshots of machine ${name} belong into resource group ${resourceGroup}, which subscription ${subscriptionId} does not have. ` +
      'Create it there, or change snapshots.resourceGroup of the policy.',
    { target: resourceGroup },
  );
}

async function skuOf(
  { azure }: Installation,
  { protection }: Request,
  subscriptionId: string,
  location: string,
): Promise<PreparedSnapshots['sku']> {
  const { redundancy } = protection.snapshots;
  if (redundancy === 'locallyRedundant') return 'Standard_LRS';
  if (await azure.snapshots.canBeZoneRedundant(subscriptionId, location)) return 'Standard_ZRS';
  if (redundancy === 'auto') return 'Standard_LRS';
  throw new HoldfastError(
    'unsupported',
    `Region ${location} has no zone-redundant snapshots, which the policy asks for. Set snapshots.redundancy to auto or locallyRedundant.`,
    { target: location },
  );
}
