/** The program that is measured: one operation, and the threads that do its work. */
import { workerData } from 'node:worker_threads';
import { isLaneThread, runLaneThread } from '../lib/datapath/runLaneThread.ts';
import { openUrls } from './places.ts';

if (isLaneThread(workerData)) runLaneThread(openUrls);
else {
  // Not for the threads: what only the main thread needs is loaded by it alone.
  const { runOperation } = await import('./operations.ts');
  await runOperation(new URL(import.meta.url));
}
