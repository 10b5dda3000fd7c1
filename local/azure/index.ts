/** The Azure simulator. `AzureSimulator` in this process, `main.ts` as a process of its own, `AdminClient` to drive that one. See README.md. */
export { AdminClient } from './adminClient.ts';
export { AdjustableClock, type SimulatorClock } from './clock.ts';
export type { Fault, FaultEffect, FaultOrder } from './faults.ts';
export type { LoggedRequest } from './requestLog.ts';
export type { SeedDisk, SeedMachine } from './seed.ts';
export type { SettingsOverride, SimulatorSettings } from './settings.ts';
export { AzureSimulator, type SimulatorOptions } from './simulator.ts';
