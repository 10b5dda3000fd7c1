import type { ReadReason } from '../../lib/model/index.ts';

/** What `npm run demo` found; `--json` prints it. Sizes in bytes. */
export interface DemoReport {
  machine: string;
  points: DemoPoint[];
  restores: DemoRestore[];
  /** After the run: SAS that still work, and worker VMs that are neither deallocated nor deleted. Both must be none. */
  left: { openGrants: string[]; runningWorkers: string[] };
  /** Worker VMs that the run used. */
  workers: string[];
  seconds: number;
}
export interface DemoPoint {
  name: string;
  kind: 'full' | 'incremental';
  seconds: number;
  disks: {
    name: string;
    sizeBytes: number;
    allocatedBytes: number;
    readBytes: number;
    storedBytes: number;
    readReason: ReadReason;
    /** The most that an incremental may read: changed ranges rounded to blocks, and the samples. Null for a whole read. */
    allowedReadBytes: number | null;
  }[];
}
export interface DemoRestore {
  restorePoint: string;
  seconds: number;
  identical: boolean;
  disks: {
    name: string;
    diskId: string;
    comparedBytes: number;
    identical: boolean;
    difference: string | null;
  }[];
}

/** What is wrong with a report: one sentence each; none when all went well. */
export function faults(report: DemoReport): string[] {
  const { points, restores, left } = report;
  return [
    ...(points.map(({ kind }) => kind).join() === 'full,incremental'
      ? []
      : [
          `Expected a full and an incremental restore point, got: ${points.map(({ kind }) => kind).join(', ')}.`,
        ]),
    ...points.flatMap(({ name, disks }) =>
      disks
        .filter(
          ({ allowedReadBytes, readBytes }) => allowedReadBytes !== null && readBytes > allowedReadBytes,
        )
        .map(
          (disk) =>
            `${name} read ${disk.readBytes} bytes of ${disk.name}; what changed is ${disk.allowedReadBytes} bytes, rounded to blocks and with samples.`,
        ),
    ),
    ...restores.flatMap(({ restorePoint, disks }) =>
      disks
        .filter(({ identical }) => !identical)
        .map(
          (disk) =>
            `${disk.name}, restored from ${restorePoint}, differs from its snapshot: ${disk.difference}.`,
        ),
    ),
    ...(restores.every(({ disks }) => disks.length > 0) && restores.length === points.length
      ? []
      : ['Not every restore point was restored.']),
    ...left.openGrants.map((id) => `A SAS of ${id} was not revoked.`),
    ...left.runningWorkers.map((id) => `The worker ${id} is still running.`),
    ...(report.workers.length > 0 ? [] : ['No worker VM took part.']),
  ];
}

const MiB = 1024 * 1024;
const mib = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;

/** The report as a table for a terminal. */
export function reportTable(report: DemoReport): string {
  const rows: string[][] = [['', 'DISK', 'SIZE', 'ALLOCATED', 'READ', 'STORED', 'SECONDS', 'READ REASON']];
  for (const point of report.points) {
    for (const [i, disk] of point.disks.entries()) {
      const { name, sizeBytes, allocatedBytes, readBytes, storedBytes, readReason } = disk;
      const sizes = [sizeBytes, allocatedBytes, readBytes, storedBytes].map(mib);
      rows.push([
        i === 0 ? point.kind : '',
        name,
        ...sizes,
        i === 0 ? point.seconds.toFixed(1) : '',
        readReason,
      ]);
    }
  }
  for (const restore of report.restores) {
    for (const [i, disk] of restore.disks.entries()) {
      const outcome = disk.identical ? 'identical, every byte' : `DIFFERENT: ${disk.difference}`;
      const first = i === 0 ? restore.seconds.toFixed(1) : '';
      rows.push([i === 0 ? 'restored' : '', disk.name, mib(disk.comparedBytes), '', '', '', first, outcome]);
    }
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column >= 2 && column <= 6 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
