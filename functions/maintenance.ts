import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { durableInstances } from '../activities/instances.ts';
import { openInstallation } from '../lib/installation/index.ts';
import { isHoldfastError } from '../lib/model/index.ts';
import { type MaintenanceRequest, requestMaintenance } from '../lib/sessions/index.ts';

/** A day's share of the rolling verification. */
const BUDGET_SECONDS = 1800;

const DAILY: readonly MaintenanceRequest[] = [
  { kind: 'collection' },
  { kind: 'check', depth: 'rolling', budgetSeconds: BUDGET_SECONDS },
];

/** Once a day: collects what nothing needs any more, and verifies what was not looked at for longest. */
app.timer('maintenance', {
  schedule: '0 17 3 * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const installation = await openInstallation();
    for (const request of DAILY) {
      try {
        await requestMaintenance(installation, durableInstances(df.getClient(context)), request, 'daily');
      } catch (error) {
        // Yesterday's is still at it.
        if (!isHoldfastError(error, 'previousRunning')) throw error;
      }
    }
  },
});
