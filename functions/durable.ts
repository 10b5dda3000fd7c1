import * as df from 'durable-functions';
import { activities } from '../activities/index.ts';
import { applyRetention } from '../orchestrators/applyRetention.ts';
import { archiveMachine } from '../orchestrators/archiveMachine.ts';
import { awaitCondition } from '../orchestrators/awaitCondition.ts';
import { backUpMachine } from '../orchestrators/backUpMachine.ts';
import { restoreDisks } from '../orchestrators/restoreDisks.ts';
import { runPolicy } from '../orchestrators/runPolicy.ts';

const orchestrators = {
  applyRetention,
  archiveMachine,
  awaitCondition,
  backUpMachine,
  restoreDisks,
  runPolicy,
};

for (const [name, orchestrator] of Object.entries(orchestrators)) df.app.orchestration(name, orchestrator);
for (const activity of activities) activity.register();
