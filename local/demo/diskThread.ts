/**
 * Makes the image of a demo disk in a thread: it takes a second, in which the launcher must still hear Ctrl-C and keep its
 * connections.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LOG_LINE } from './content.ts';
import { makeImage, openImage } from './image.ts';
import { DEMO_MACHINES, FILE_SYSTEM_BYTES } from './subscription.ts';
import { blankFrom, type WorkloadFile } from './workload.ts';

export interface MadeDisk {
  /** The busy files, and where they stand. */
  readonly files: readonly WorkloadFile[];
  /** Where each log goes on: behind the lines that it has. By `disk:path`. */
  readonly positions: Readonly<Record<string, number>>;
}
interface Order {
  readonly image: string;
  readonly machine: string;
  readonly disk: string;
}

/** Writes the image of a disk of the demo to the file `image`. */
export function makeDiskInThread(order: Order): Promise<MadeDisk> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL(import.meta.url), { workerData: order });
    thread.once('message', resolve);
    thread.once('error', reject);
    thread.once('exit', () => reject(new Error(`The image of ${order.disk} was not made.`)));
  });
}

function makeDisk({ image, machine, disk }: Order): MadeDisk {
  const order = DEMO_MACHINES.find(({ name }) => name === machine)?.disks.find(({ name }) => name === disk);
  if (!order) throw new Error(`The demo has no disk ${disk} of ${machine}.`);
  const content = order.files();
  makeImage(image, FILE_SYSTEM_BYTES, content, disk);
  const opened = openImage(image);
  try {
    const files = order.busy.map(
      ({ path, kind }): WorkloadFile => ({ kind, disk, host: machine, path, ...opened.locate(path) }),
    );
    const positions = Object.fromEntries(
      order.busy.flatMap(({ path, kind }) => {
        const file = kind === 'log' ? content.find((one) => one.path === path) : undefined;
        return file ? [[`${disk}:${path}`, blankFrom(file.content, LOG_LINE)]] : [];
      }),
    );
    return { files, positions };
  } finally {
    opened.close();
  }
}

if (!isMainThread) {
  const made = makeDisk(workerData as Order);
  parentPort?.postMessage(made, []);
}
