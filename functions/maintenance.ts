import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { durableInstances } from '../activities/instances.ts';
import { openInstallation } from '../lib/installation/index.ts';
import { isHoldfastError, toFailure } from '../lib/model/index.ts';
import { forgetSessions, type MaintenanceRequest, requestMaintenance } from '../lib/sessions/index.ts';

/** A day's share of the rolling verification. */
const BUDGET_SECONDS = 1800;

const DAILY: readonly MaintenanceRequest[] = [
  { kind: 'collection' },
  { kind: 'check', depth: 'rolling', budgetSeconds: BUDGET_SECONDS },
];

/** A day's share of forgetting old sessions; what is left waits for the next. */
const FORGET_MS = 180_000;

/** Once a day: collects what nothing needs any more, verifies what was not looked at for longest, forgets old sessions. */
app.timer('maintenance', {
  schedule: '0 17 3 * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const installation = await openInstallation();
    const instances = durableInstances(df.getClient(context));
    for (const { id: repository } of await installation.repositoryPlaces()) {
      for (const request of DAILY) {
        try {
          await requestMaintenance(installation, instances, { ...request, repository }, 'daily');
        } catch (error) {
          // Yesterday's is still at it.
          if (isHoldfastError(error, 'previousRunning')) continue;
          // One repository that cannot be reached keeps the others from nothing.
          context.error(`Repository ${repository}: ${toFailure(error).message}`);
        }
      }
    }
    const { sessions, slots, complete } = await forgetSessions(installation, FORGET_MS);
    context.log(`Forgot ${sessions} sessions and ${slots} slots${complete ? '' : '; more are due'}.`);
  },
});
