/** The numbers that a run of the simulator is set up with. Defaults: Azure's documented limits, and operations that end at the first poll. */
export interface SimulatorSettings {
  operations: {
    /** Polls answered `InProgress` before an operation that is otherwise due ends. */
    polls: number;
    /** Milliseconds of the simulator's clock that an operation takes at least. */
    delayMs: number;
    /**
     * `Retry-After` of operations, in seconds; 0 sends none. Azure says 2 to 15. The SDKs take no interval below a second from the header
     * (0 is ignored) and wait two seconds without it, unless the caller gives `updateIntervalInMs`.
     */
    retryAfterSeconds: number;
    /** An operation that nobody polls ends after this many milliseconds, whatever `polls` says. */
    patienceMs: number;
    /** Milliseconds of the simulator's clock that the background copy of an Ultra or Premium SSD v2 disk's snapshot takes. */
    backgroundCopyMs: number;
  };
  limits: {
    /** Resource manager, per subscription and principal: bucket size and refill per second. */
    reads: { burst: number; perSecond: number };
    writes: { burst: number; perSecond: number };
    deletes: { burst: number; perSecond: number };
    /** Compute, per subscription: requests in three minutes (and, in thirty, the second number). */
    snapshotCreateHydrate: [number, number];
    createUpdateDisks: [number, number];
    lowCostGet: [number, number];
    getOperation: [number, number];
    putVirtualMachine: [number, number];
    snapshotsPerDiskIn5Minutes: number;
    snapshotsPerDisk: number;
    grantsPerFamily: number;
    grantSeconds: number;
    tags: number;
    /** Between two crash consistent restore points of a machine; three times as long between those that ask the guest. */
    restorePointMinutes: number;
    /** vCPUs per subscription and region, of all sizes together, deallocated machines included. */
    regionalCores: number;
  };
  guests: {
    /** SIGTERM to SIGKILL when a machine is stopped or deleted. */
    stopGraceMs: number;
  };
}

export const DEFAULT_SETTINGS: SimulatorSettings = {
  operations: { polls: 0, delayMs: 0, retryAfterSeconds: 1, patienceMs: 3_000, backgroundCopyMs: 0 },
  limits: {
    reads: { burst: 250, perSecond: 25 },
    writes: { burst: 200, perSecond: 10 },
    deletes: { burst: 200, perSecond: 10 },
    snapshotCreateHydrate: [1_000, 8_000],
    createUpdateDisks: [1_000, 8_000],
    lowCostGet: [15_000, 120_000],
    getOperation: [50_000, 400_000],
    putVirtualMachine: [240, 1_200],
    snapshotsPerDiskIn5Minutes: 7,
    snapshotsPerDisk: 500,
    grantsPerFamily: 5,
    grantSeconds: 5_184_000,
    tags: 50,
    restorePointMinutes: 60,
    regionalCores: 100,
  },
  guests: { stopGraceMs: 3_000 },
};

export type SettingsOverride = { [K in keyof SimulatorSettings]?: Partial<SimulatorSettings[K]> };

export function mergeSettings(override: SettingsOverride = {}): SimulatorSettings {
  return {
    operations: { ...DEFAULT_SETTINGS.operations, ...override.operations },
    limits: { ...DEFAULT_SETTINGS.limits, ...override.limits },
    guests: { ...DEFAULT_SETTINGS.guests, ...override.guests },
  };
}
