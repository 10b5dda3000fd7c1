import type { DiskAnswer, SessionAnswer } from './answers.ts';
import { bytes } from './output.ts';

/** Where progress goes: stderr. `columns` is the width of a terminal. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}
/** Shows how far a session is. `update` as often as there is news, `end` once. */
export interface Progress {
  update(session: SessionAnswer): void;
  end(): void;
}

const ESC = String.fromCharCode(27);
const BAR = 24;

/** Bars that are redrawn in place on a terminal; elsewhere a line for each phase and each tenth of a disk. */
export const createProgress = (stream: ProgressStream): Progress =>
  stream.isTTY ? redrawn(stream) : plain(stream);

/** 0..100; null while it is not known how much there is to do. */
export function percentOf(disk: DiskAnswer): number | null {
  if (typeof disk.percent === 'number') return disk.percent;
  if (disk.plannedBytes === null) return null;
  return disk.plannedBytes === 0 ? 100 : Math.min(100, (100 * disk.doneBytes) / disk.plannedBytes);
}

const heading = (session: SessionAnswer): string =>
  `${session.kind} ${session.machineName ?? session.policyId ?? ''} ${session.id}: ${
    session.status === 'running' ? session.phase : session.status
  }`.replace('  ', ' ');

function amount(disk: DiskAnswer): string {
  if (disk.plannedBytes === null) return bytes(disk.sizeBytes);
  return `${bytes(disk.doneBytes)} of ${bytes(disk.plannedBytes)}${disk.readReason ? `, ${disk.readReason}` : ''}`;
}

function redrawn(stream: ProgressStream): Progress {
  let drawn = 0;
  const clear = () => (drawn === 0 ? '' : `${ESC}[${drawn}A${ESC}[0J`);
  return {
    update(session) {
      const width = Math.max(20, (stream.columns ?? 80) - 1);
      const names = Math.max(0, ...session.disks.map((disk) => disk.name.length));
      const lines = [
        heading(session),
        ...session.disks.map((disk) => {
          const percent = percentOf(disk);
          const full = Math.round(((percent ?? 0) / 100) * BAR);
          const bar = '█'.repeat(full) + '░'.repeat(BAR - full);
          const share = percent === null ? '   -' : `${String(Math.floor(percent)).padStart(3)}%`;
          return `  ${disk.name.padEnd(names)} ${bar} ${share}  ${amount(disk)}`;
        }),
      ].map((line) => line.slice(0, width));
      stream.write(`${clear()}${lines.join('\n')}\n`);
      drawn = lines.length;
    },
    end() {
      drawn = 0;
    },
  };
}

function plain(stream: ProgressStream): Progress {
  let lastHeading = '';
  const tenths = new Map<number, number>();
  return {
    update(session) {
      const now = heading(session);
      if (now !== lastHeading) stream.write(`${now}\n`);
      lastHeading = now;
      for (const disk of session.disks) {
        const percent = percentOf(disk);
        if (percent === null) continue;
        const tenth = Math.floor(percent / 10);
        if (tenth <= (tenths.get(disk.number) ?? -1)) continue;
        tenths.set(disk.number, tenth);
        stream.write(`  ${disk.name} ${Math.floor(percent)}%  ${amount(disk)}\n`);
      }
    },
    end() {},
  };
}
