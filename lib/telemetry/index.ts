/**
 * What Holdfast says about itself: one catalogue of events and metrics, the port that the rest of the product calls,
 * and the ways they leave (Azure Monitor, JSON lines, memory). See README.md beside this file.
 */
export * from './catalogue.ts';
export { sessionCompleted, type Telemetry } from './emit.ts';
export { MemoryTelemetry } from './memory.ts';
export { redact } from './redact.ts';
export { startTelemetry, type TelemetrySettings, telemetrySettings } from './start.ts';
