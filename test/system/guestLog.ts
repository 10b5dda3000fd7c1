import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A line that a worker wrote, as far as it is looked at here. */
export interface GuestEvent {
  readonly time: string;
  readonly event: string;
  readonly sessionId?: string;
  readonly jobId?: string;
  readonly attempt?: number;
  readonly code?: string;
  readonly message?: string;
}

export function parseEvents(console: string): GuestEvent[] {
  return console.split('\n').flatMap((line) => {
    try {
      const parsed = JSON.parse(line) as GuestEvent;
      return typeof parsed.event === 'string' ? [parsed] : [];
    } catch {
      // The boot script, or a line that is being written.
      return [];
    }
  });
}

/** What all guests of a simulator's state folder have said; those of deleted VMs are gone with them. */
export function guestEvents(azureFolder: string): GuestEvent[] {
  return consoles(azureFolder).flatMap((file) => parseEvents(readFileSync(file, 'utf8')));
}

/** Files with what guests print. */
export function consoles(azureFolder: string): string[] {
  const guests = join(azureFolder, 'guests');
  if (!existsSync(guests)) return [];
  return readdirSync(guests)
    .map((name) => join(guests, name, 'console.log'))
    .filter((file) => existsSync(file));
}

export interface JobWindow {
  readonly jobId: string;
  readonly from: number;
  readonly to: number;
}

/** When workers were at which job, from their own words; a job without an end was cut off when its worker started anew. */
export function jobWindows(events: readonly GuestEvent[]): JobWindow[] {
  const windows: JobWindow[] = [];
  let open: { jobId: string; from: number } | undefined;
  for (const { event, time, jobId = '' } of events) {
    const at = Date.parse(time);
    if (open && /^(job\.(completed|failed|gone|lost|cancel)|worker\.started)$/.test(event)) {
      windows.push({ ...open, to: at });
      open = undefined;
    }
    if (event === 'job.started') open = { jobId, from: at };
  }
  if (open) windows.push({ ...open, to: Number.POSITIVE_INFINITY });
  return windows;
}
