import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { durableInstances } from '../activities/instances.ts';
import { openInstallation } from '../lib/installation/index.ts';
import { toFailure } from '../lib/model/index.ts';
import { tellCoverage, tickSchedules } from '../lib/sessions/index.ts';

/** Every minute, in UTC: starts what came due. Policies have time zones of their own; this timer has none. */
app.timer('schedule', {
  schedule: '0 * * * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (timer, context) => {
    const installation = await openInstallation();
    const tick = await tickSchedules(installation, durableInstances(df.getClient(context)));
    for (const failure of tick.failures) context.error(`The schedule could not be kept: ${failure}`);
    const nominal = Date.parse(timer.scheduleStatus?.next ?? '');
    const lateSeconds = Number.isNaN(nominal)
      ? 0
      : Math.max(0, (installation.clock.now().getTime() - nominal) / 1000 - 60);
    const { policies, due, started } = tick;
    installation.telemetry.event('holdfast.scheduler.tick', { policies, due, started, lateSeconds });
    try {
      await tellCoverage(installation);
    } catch (error) {
      // It is told at the next tick; the schedule is what counts.
      context.error(`The coverage of machines could not be told: ${toFailure(error).message}`);
    }
  },
});
