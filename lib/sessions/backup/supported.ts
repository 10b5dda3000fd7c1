import {
  type Disk,
  HoldfastError,
  type LeftOutDisk,
  type MachineConfiguration,
  type Protection,
} from '../../model/index.ts';
import { leaveOutDisks } from '../../scope/index.ts';

/**
 * Which disks of a machine are backed up. What cannot be backed up rightly is refused before anything is made, with the reason:
 * the whole machine, unless Azure itself leaves such a disk out of its restore points (shared disks, ephemeral OS disks); then
 * that disk alone, with a warning. A disk that the policy leaves out is asked nothing. docs/limits.md lists the cases.
 */
export interface ChosenDisks {
  readonly disks: readonly Disk[];
  /** The others, whoever left them out. */
  readonly leftOut: readonly LeftOutDisk[];
  /** For a person: what is not backed up although nobody excluded it. */
  readonly warnings: readonly string[];
}

const EXCLUDE = 'exclude it in the policy (scope.exclude.disks)';

/** @throws `diskUnsupported`, saying what, where and what to do; `machineBusy` for what time will help */
export function chooseDisks(
  configuration: MachineConfiguration,
  protection: Pick<Protection, 'onlyDisks' | 'excludeDisks'>,
): ChosenDisks {
  const { machine, disks: all } = configuration;
  const byRule = leaveOutDisks(protection, machine, all);
  refuseBusy(configuration, byRule.kept);
  refuseMixed(configuration);
  const warnings: string[] = [];
  const disks: Disk[] = [];
  const leftOut = byRule.leftOut.map(({ disk, why }) => describeLeftOut(disk, why));
  for (const disk of byRule.kept) {
    const verdict = judge(disk);
    if (verdict === null) disks.push(disk);
    else if (verdict.leaveOut) {
      warnings.push(`Disk ${disk.name} was left out: ${verdict.why}.`);
      leftOut.push(describeLeftOut(disk, verdict.why));
    } else
      throw refusal(
        `Disk ${disk.name} of machine ${machine.name} cannot be backed up: ${verdict.why}.`,
        disk.id,
      );
  }
  const ephemeral = ephemeralDisk(configuration);
  if (ephemeral && leaveOutDisks(protection, machine, [ephemeral]).kept.length > 0) {
    warnings.push(
      `Disk ${ephemeral.name} was left out: the OS disk is ephemeral, so Azure takes no snapshots of it. Keep nothing on it, and ${EXCLUDE}.`,
    );
  }
  if (ephemeral) leftOut.push(describeLeftOut({ ...ephemeral, sizeBytes: 0 }, 'the OS disk is ephemeral'));
  if (disks.length > 0) return { disks, leftOut, warnings };
  const why = warnings.length > 0 ? warnings.join(' ') : 'It has none, or the policy leaves out all of them.';
  throw refusal(`Machine ${machine.name} has no disk that can be backed up. ${why}`, machine.armId);
}

const describeLeftOut = ({ uniqueId, name, role, lun, sizeBytes }: Disk, why: string): LeftOutDisk => ({
  uniqueId,
  name,
  role,
  lun,
  sizeBytes,
  why,
});

const refusal = (text: string, target: string): HoldfastError =>
  new HoldfastError('diskUnsupported', text, { target });

/** The properties that decide, of a VM's or a disk's resource in Azure's own shape. */
interface Properties {
  readonly provisioningState?: string;
  readonly completionPercent?: number;
  readonly maxShares?: number;
  readonly networkAccessPolicy?: string;
  readonly publicNetworkAccess?: string;
  readonly diskAccessId?: string;
  readonly dataAccessAuthMode?: string;
  readonly securityProfile?: { readonly securityType?: string };
  readonly storageProfile?: {
    readonly osDisk?: { readonly name?: string; readonly diffDiskSettings?: { readonly option?: string } };
  };
}
const propertiesOf = (resource: Readonly<Record<string, unknown>>): Properties =>
  resource['properties'] ?? {};

const busy = (what: string, target: string): HoldfastError =>
  new HoldfastError('machineBusy', `${what}. Try again when that has ended.`, { target });

/** What is on its way from one state to another: the next try may find it there. */
function refuseBusy({ machine, virtualMachine }: MachineConfiguration, kept: readonly Disk[]): void {
  if (propertiesOf(virtualMachine).provisioningState === 'Migrating')
    throw busy(`The disks of machine ${machine.name} are being converted to managed ones`, machine.armId);
  for (const disk of kept) {
    const { completionPercent = 100 } = propertiesOf(disk.configuration);
    if (completionPercent < 100) {
      const what = `Disk ${disk.name} of machine ${machine.name} is still being filled (${completionPercent} %)`;
      throw busy(what, disk.id);
    }
  }
}

/** Azure lets no machine have both; a machine seen so is being converted by somebody's hand. */
function refuseMixed({ machine, disks }: MachineConfiguration): void {
  if (new Set(disks.map(({ kind }) => kind)).size < 2) return;
  const blobs = disks.filter(({ kind }) => kind === 'unmanaged').map(({ name }) => name);
  throw refusal(
    `Machine ${machine.name} has managed and unmanaged disks (${blobs.join(', ')}), which Azure does not allow. ` +
      'Convert the machine to managed disks, then back it up.',
    machine.armId,
  );
}

function judge(disk: Disk): { readonly leaveOut: boolean; readonly why: string } | null {
  const stop = (why: string) => ({ leaveOut: false, why });
  const properties = propertiesOf(disk.configuration);
  const { maxShares = 1, networkAccessPolicy, securityProfile } = properties;
  if (maxShares > 1) {
    const why = `it is shared (maxShares ${maxShares}), and a snapshot of it alone shows no moment of the cluster. Back its data up in the guest, and ${EXCLUDE}`;
    return { leaveOut: true, why };
  }
  if (disk.sectorSize !== 512) {
    return stop(
      `its sectors have ${disk.sectorSize} bytes, and Azure exports its snapshots as VHDX files, which are not read. Move the data to a disk with 512-byte sectors, or ${EXCLUDE}`,
    );
  }
  if (/^ConfidentialVM/i.test(securityProfile?.securityType ?? '')) {
    return stop(
      `it belongs to a confidential VM (${securityProfile?.securityType}), whose guest state Azure does not export with it; a restored disk would not start. Back the machine up in the guest`,
    );
  }
  if (networkAccessPolicy === 'DenyAll') {
    return stop(
      `its network access policy is DenyAll, which forbids to read its snapshots. Set it to AllowAll, or ${EXCLUDE}`,
    );
  }
  if (networkAccessPolicy === 'AllowPrivate' || properties.publicNetworkAccess === 'Disabled') {
    const by = properties.diskAccessId === undefined ? '' : ` by way of ${properties.diskAccessId}`;
    return stop(
      `it may be read from private networks only${by}, and workers have no private endpoint there. Set its network access policy to AllowAll, or ${EXCLUDE}`,
    );
  }
  if (properties.dataAccessAuthMode === 'AzureActiveDirectory') {
    return stop(
      `reading it asks for an Entra token beside the SAS (dataAccessAuthMode), which workers have no right to. Set the mode to None, or ${EXCLUDE}`,
    );
  }
  return null;
}

/** A stand-in for the OS disk that lives on the host: the policy may exclude it like any other. */
function ephemeralDisk({ machine, virtualMachine }: MachineConfiguration): Disk | null {
  const os = propertiesOf(virtualMachine).storageProfile?.osDisk;
  if (!os?.diffDiskSettings?.option) return null;
  const name = os.name ?? `${machine.name}_OsDisk`;
  return {
    kind: 'managed',
    id: `${machine.armId}/ephemeralOsDisk`,
    name,
    uniqueId: name,
    role: 'os',
    lun: null,
    sizeBytes: 1,
    sectorSize: 512,
    location: machine.location,
    sku: 'ephemeral',
    configuration: {},
  };
}
