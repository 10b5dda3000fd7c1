import * as df from 'durable-functions';
import { activities } from '../activities/index.ts';
import { applyRetention } from '../orchestrators/applyRetention.ts';
import { archiveMachine } from '../orchestrators/archiveMachine.ts';
import { awaitCondition } from '../orchestrators/awaitCondition.ts';
import { backUpMachine } from '../orchestrators/backUpMachine.ts';
import { checkRepository } from '../orchestrators/checkRepository.ts';
import { collectGarbage } from '../orchestrators/collectGarbage.ts';
import { removeData } from '../orchestrators/removeData.ts';
import { rescanRepository } from '../orchestrators/rescanRepository.ts';
import { restoreDisks } from '../orchestrators/restoreDisks.ts';
import { runPolicy } from '../orchestrators/runPolicy.ts';
import { tendSnapshots } from '../orchestrators/tendSnapshots.ts';

const orchestrators = {
  applyRetention,
  archiveMachine,
  awaitCondition,
  checkRepository,
  collectGarbage,
  removeData,
  rescanRepository,
  backUpMachine,
  restoreDisks,
  runPolicy,
  tendSnapshots,
};

for (const [name, orchestrator] of Object.entries(orchestrators)) df.app.orchestration(name, orchestrator);
for (const activity of activities) activity.register();
