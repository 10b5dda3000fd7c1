/** The program on a worker VM, the thread that keeps its claims, and those that do its work. See README.md. */
import { isMainThread, workerData } from 'node:worker_threads';
import { threadMeter } from '../lib/azure/throttleMeter.ts';
import { isLaneThread, runJob, runLaneThread } from '../lib/datapath/index.ts';
import { HEARTBEAT_THREAD, type HeartbeatData } from './heartbeatProtocol.ts';
import { runHeartbeatThread } from './heartbeatThread.ts';
import { openLane } from './lanes.ts';
import { runProgram } from './program.ts';
import { readSettings } from './settings.ts';

const data: unknown = workerData;
if (isMainThread) {
  // The bundle is one file, so that all its threads run this same one.
  await runProgram({ entry: new URL(import.meta.url), settings: readSettings(process.env), runJob });
} else if (isHeartbeat(data)) {
  runHeartbeatThread(data);
} else if (isLaneThread(data)) {
  runLaneThread(openLane, threadMeter);
}

function isHeartbeat(value: unknown): value is HeartbeatData {
  return typeof value === 'object' && value !== null && 'role' in value && value.role === HEARTBEAT_THREAD;
}
