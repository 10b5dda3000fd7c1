/** The program on a worker VM, and the thread that keeps its claims. See README.md. */
import { isMainThread, workerData } from 'node:worker_threads';
import { runJob } from '../lib/datapath/index.ts';
import { HEARTBEAT_THREAD, type HeartbeatData } from './heartbeatProtocol.ts';
import { runHeartbeatThread } from './heartbeatThread.ts';
import { runProgram } from './program.ts';
import { readSettings } from './settings.ts';

const data: unknown = workerData;
if (isMainThread) {
  // The bundle is one file, so that its heartbeat's thread runs this same one.
  await runProgram({ entry: new URL(import.meta.url), settings: readSettings(process.env), runJob });
} else if (isHeartbeat(data)) {
  runHeartbeatThread(data);
}

function isHeartbeat(value: unknown): value is HeartbeatData {
  return typeof value === 'object' && value !== null && 'role' in value && value.role === HEARTBEAT_THREAD;
}
