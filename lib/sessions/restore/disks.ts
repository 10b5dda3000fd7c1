import { UploadDisk, uploadSizeOf } from '../../azure/index.ts';
import { type Installation, OWNER_TAG } from '../../installation/index.ts';
import { HoldfastError, isHoldfastError } from '../../model/index.ts';
import { releaseAccess, writeAccess } from '../access.ts';
import { enterStep } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { SESSION_TAG } from '../snapshots/tags.ts';
import { need, readState } from '../state.ts';
import type { OpenedRestore } from './open.ts';

interface Which {
  readonly sessionId: string;
  readonly disk: number;
}

/** Starts to create one disk for upload, unless an earlier run of this step did. */
export async function createDisk(installation: Installation, { sessionId, disk }: Which): Promise<void> {
  await enterStep(installation, sessionId, 'create');
  const { request } = await readState(installation, sessionId, 'restore');
  const { targetId, name, sizeBytes, source } = await targetOf(installation, { sessionId, disk });
  await installation.catalog.intents.write(sessionId, 'disk', targetId);
  if (await installation.azure.uploads.find(targetId)) return;
  const { id: owner } = await installation.identity();
  const properties = (source.configuration['properties'] ?? {}) as {
    osType?: string;
    hyperVGeneration?: string;
  };
  const { osType, hyperVGeneration } = properties;
  const [zone] = (source.configuration['zones'] ?? []) as string[];
  await installation.azure.uploads.startCreate({
    subscriptionId: request.subscriptionId,
    resourceGroup: request.resourceGroup,
    name,
    location: request.location,
    sizeBytes: uploadSizeOf(sizeBytes),
    sku: source.sku,
    like: properties,
    tags: { [OWNER_TAG]: owner, [SESSION_TAG]: sessionId },
    ...(zone === undefined ? {} : { zone }),
    ...(osType === 'Linux' || osType === 'Windows' ? { osType } : {}),
    ...(hyperVGeneration === 'V1' || hyperVGeneration === 'V2' ? { hyperVGeneration } : {}),
  });
}

/** Looks whether all disks can be written to. */
export async function watchDisks(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'create');
  for (const { targetId, name } of (await readOpened(installation, sessionId)).disks) {
    const disk = await installation.azure.uploads.find(targetId);
    if (disk?.provisioningState === 'Failed') {
      throw new HoldfastError('internal', `Azure could not create disk ${name}.`, { target: targetId });
    }
    if (disk?.diskState !== 'ReadyToUpload' && disk?.diskState !== 'ActiveUpload')
      return notYet(`disk ${name}`);
  }
  return seen(null);
}

/**
 * Writes the footer and takes the access away, whereupon Azure validates the disk: from then on it can be attached. May run
 * again: a disk that is validated is left alone.
 */
export async function finishDisk(installation: Installation, { sessionId, disk }: Which): Promise<void> {
  await enterStep(installation, sessionId, 'release');
  const { targetId, name, sizeBytes } = await targetOf(installation, { sessionId, disk });
  const found = await installation.azure.uploads.get(targetId);
  if (found.diskState !== 'Unattached') {
    const url = await writeAccess(installation, sessionId, targetId);
    await new UploadDisk({ targetUrl: url, sizeBytes: uploadSizeOf(sizeBytes) }).writeFooter();
    await releaseAccess(installation, sessionId, { resourceId: targetId });
    const after = await installation.azure.uploads.get(targetId);
    if (after.diskState !== 'Unattached') {
      throw new HoldfastError('internal', `Disk ${name} is ${after.diskState} after its upload was ended.`, {
        target: targetId,
      });
    }
  }
  await installation.catalog.intents.resolve(sessionId, 'disk', targetId);
}

/** Removes a disk that a failed restore left. True when it is gone; false: later. */
export async function removeDisk(installation: Installation, diskId: string): Promise<boolean> {
  if (!(await installation.azure.uploads.find(diskId))) return true;
  await installation.azure.grants.revokeAccess(diskId).catch((error: unknown) => {
    // A half-written disk has no footer; Azure says so, and the access ends all the same.
    if (!isHoldfastError(error, 'invalidInput')) throw error;
  });
  await installation.azure.uploads.startRemove(diskId);
  return (await installation.azure.uploads.find(diskId)) === null;
}

async function readOpened(installation: Installation, sessionId: string): Promise<OpenedRestore> {
  return need(
    (await readState(installation, sessionId, 'restore')).opened,
    'what openRestore found',
    sessionId,
  );
}

async function targetOf(
  installation: Installation,
  { sessionId, disk }: Which,
): Promise<OpenedRestore['disks'][number]> {
  const target = (await readOpened(installation, sessionId)).disks.find(({ number }) => number === disk);
  if (target) return target;
  throw new HoldfastError('internal', `Session ${sessionId} restores no disk ${disk}.`, {
    target: sessionId,
  });
}
