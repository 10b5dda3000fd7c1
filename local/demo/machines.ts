import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { armId } from '../../lib/model/index.ts';
import type { AdminClient } from '../azure/index.ts';
import type { StateFolder } from '../stateFolder.ts';
import { makeDiskInThread } from './diskThread.ts';
import { DEMO, DEMO_MACHINES, type DemoMachine } from './subscription.ts';
import { type GuestWrite, runWorkload, type WorkloadState } from './workload.ts';

const workloadFileSchema = z.object({
  kind: z.enum(['log', 'database']),
  disk: z.string(),
  host: z.string(),
  path: z.string(),
  sizeBytes: z.number(),
  stretches: z
    .array(z.object({ fileOffset: z.number(), diskOffset: z.number(), length: z.number() }))
    .readonly(),
});
const demoStateSchema = z.object({
  /** Machines that are complete; a run that was interrupted makes the others. */
  machines: z.array(z.string()),
  files: z.array(workloadFileSchema),
  workload: z.object({ turn: z.number(), positions: z.record(z.string(), z.number()) }),
});
type DemoState = z.infer<typeof demoStateSchema>;

const FILE = 'demo.json';
const EMPTY: DemoState = { machines: [], files: [], workload: { turn: 0, positions: {} } };

/**
 * Makes the machines that are missing in the demo subscription: images with real file systems, imported as disks. Remembers
 * where on the disks the busy files stand, for `DemoWorkload`.
 */
export async function populateDemo(
  state: StateFolder,
  admin: AdminClient,
  machines: readonly DemoMachine[],
  say: (line: string) => void,
): Promise<void> {
  const known = readState(state);
  const folder = state.file('images');
  for (const machine of machines) {
    if (known.machines.includes(machine.name)) continue;
    say(
      `Making ${machine.name} with ${machine.disks.length === 1 ? 'a disk' : `${machine.disks.length} disks`} ...`,
    );
    mkdirSync(folder, { recursive: true });
    const made = await Promise.all(
      machine.disks.map(async (disk) => {
        const image = join(folder, `${disk.name}.img`);
        return {
          disk,
          image,
          ...(await makeDiskInThread({ image, machine: machine.name, disk: disk.name })),
        };
      }),
    );
    const [os, ...data] = made.map(({ disk, image }) => ({
      name: disk.name,
      image,
      sizeBytes: disk.sizeBytes,
      ...(disk.lun === null ? {} : { lun: disk.lun }),
      ...(disk.unmanaged ? { unmanaged: { account: DEMO.vhdAccount, container: DEMO.vhdContainer } } : {}),
    }));
    if (!os) throw new Error(`${machine.name} has no disk.`);
    await admin.call('addVirtualMachine', {
      subscription: DEMO.subscriptionId,
      group: DEMO.resourceGroup,
      location: DEMO.location,
      name: machine.name,
      size: machine.size,
      tags: { ...machine.tags },
      osDisk: os,
      dataDisks: data,
    });
    rmSync(folder, { recursive: true, force: true });
    known.machines.push(machine.name);
    for (const { files, positions } of made) {
      known.files.push(...files);
      Object.assign(known.workload.positions, positions);
    }
    state.write(FILE, known);
  }
}

/** The storage account of the unmanaged disks, made when it is missing. */
export const addVhdAccount = (admin: AdminClient): Promise<{ id: string; url: string }> =>
  admin.call('addStorageAccount', {
    subscription: DEMO.subscriptionId,
    group: DEMO.resourceGroup,
    name: DEMO.vhdAccount,
  });

/** Changes the disks of the demo machines as their guests would. */
export class DemoWorkload {
  private readonly state: StateFolder;
  private readonly write: GuestWrite;

  constructor(state: StateFolder, admin: AdminClient) {
    this.state = state;
    const vhds = new Set(
      DEMO_MACHINES.flatMap(({ disks }) => disks.filter((disk) => disk.unmanaged)).map(({ name }) => name),
    );
    this.write = async (disk, offset, data) => {
      const diskId = vhds.has(disk)
        ? `${(await addVhdAccount(admin)).url}/${DEMO.vhdContainer}/${disk}.vhd`
        : armId(DEMO.subscriptionId, DEMO.resourceGroup, 'Microsoft.Compute/disks', disk);
      await admin.call('writeDisk', { diskId, offset, data });
    };
  }

  /** One turn on all machines, or on one. Resolves with the number of bytes written. */
  async turn(now: Date, machine?: string): Promise<number> {
    const known = readState(this.state);
    const files = known.files.filter(({ host }) => machine === undefined || host === machine);
    const written = await runWorkload(files, known.workload satisfies WorkloadState, now, this.write);
    this.state.write(FILE, known);
    return written;
  }
}

function readState(state: StateFolder): DemoState {
  const known = demoStateSchema.safeParse(state.read(FILE));
  return known.success ? known.data : structuredClone(EMPTY);
}
