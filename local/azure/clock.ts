/** The time that ARM, Key Vault and the disk data plane see. Any `Clock` of lib/model fits. */
export interface SimulatorClock {
  now(): Date;
}

/** The system's time plus an offset that tests and the admin API move forward. It never runs backwards. */
export class AdjustableClock implements SimulatorClock {
  private offset: number;

  constructor(offset = 0) {
    this.offset = offset;
  }

  now(): Date {
    return new Date(Date.now() + this.offset);
  }

  /** Moves the clock forward by `ms` milliseconds and returns the whole offset from the system's time. */
  advance(ms: number): number {
    if (!(ms >= 0)) throw new RangeError(`A clock only moves forward: ${ms} ms.`);
    this.offset += ms;
    return this.offset;
  }
}

/**
 * A time as the resource providers print it: seven digits and a numeric offset, never `Z`.
 * `offsetMinutes` is the zone of the service's host (the disk service was recorded at -04:00, the VM service at +00:00).
 */
export function azureTime(at: Date, offsetMinutes = 0): string {
  const local = new Date(at.getTime() + offsetMinutes * 60_000).toISOString().slice(0, -1);
  const sign = offsetMinutes < 0 ? '-' : '+';
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
  const minutes = Math.abs(offsetMinutes);
  return `${local}0000${sign}${two(minutes / 60)}:${two(minutes % 60)}`;
}

/** The zone in which the disk service prints its times. */
export const DISK_SERVICE_ZONE = -240;
