import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { z } from 'zod';
import { durableInstances } from '../activities/instances.ts';
import { openInstallation } from '../lib/installation/index.ts';
import { chainIdSchema, HoldfastError, isHoldfastError, policyIdSchema } from '../lib/model/index.ts';
import {
  complianceOf,
  holdPoint,
  previewRetention,
  requestRetention,
  tellCompliance,
} from '../lib/sessions/index.ts';
import { accepted, type Call, ok, route } from './http.ts';
import { machineIdOf } from './restorePoints.ts';
import { showSession } from './sessions.ts';

/** Once a day, of all machines, those that are gone included. And how SLAs were kept. */
app.timer('retention', {
  schedule: '0 37 2 * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const installation = await openInstallation();
    for (const trouble of await tellCompliance(installation)) context.error(`Compliance: ${trouble}`);
    try {
      await requestRetention(installation, durableInstances(df.getClient(context)), null, 'daily');
    } catch (error) {
      // Yesterday's is still at it.
      if (!isHoldfastError(error, 'previousRunning')) throw error;
    }
  },
});

/** POST retention: removes what no rule keeps, now; of one machine, or of all. */
route({
  name: 'startRetentionNow',
  methods: ['POST'],
  path: 'retention',
  caller: 'function',
  async handle({ installation, instances, request, body }) {
    const { machine } = await body(z.strictObject({ machine: z.string().min(1).nullable().default(null) }));
    const of = machine === null ? null : await nameOf(installation, await machineIdOf(installation, machine));
    const session = await requestRetention(installation, instances, of, 'request');
    return accepted(request, await showSession(installation, session));
  },
});

async function nameOf({ catalog }: Call['installation'], id: string) {
  const [newest] = (await catalog.points.listMachine(id)).toReversed();
  return { id, name: newest?.point.machineName ?? id };
}

/** GET machines/{machine}/retention: what stays of its restore points and snapshots now, and why. */
route({
  name: 'previewRetention',
  methods: ['GET'],
  path: 'machines/{machine}/retention',
  caller: 'function',
  async handle({ installation, params }) {
    const id = await machineIdOf(installation, params['machine'] ?? '');
    const { policyId, decisions } = await previewRetention(installation, id);
    return ok({ policyId, value: decisions });
  },
});

const pointSchema = z.object({ chain: chainIdSchema, sequence: z.coerce.number().int().positive() });

function pointOf({ params }: Call): { chainId: string; sequence: number } {
  const parsed = pointSchema.safeParse(params);
  if (parsed.success) return { chainId: parsed.data.chain, sequence: parsed.data.sequence };
  throw new HoldfastError('invalidInput', 'A restore point is named by its chain and number.', {
    target: parsed.error.issues[0]?.path.join('.') ?? '',
  });
}

const holdBody = z.strictObject({
  by: z.string().min(1).max(100),
  reason: z.string().min(1).max(500),
  until: z.iso.datetime().nullable().default(null),
});

/** POST restorePoints/{chain}/{sequence}/hold: it stays, whatever retention says. */
route({
  name: 'holdRestorePoint',
  methods: ['POST'],
  path: 'restorePoints/{chain}/{sequence}/hold',
  caller: 'function',
  async handle(call) {
    const hold = await call.body(holdBody);
    if (hold.until !== null && new Date(hold.until) <= call.installation.clock.now()) {
      throw new HoldfastError('invalidInput', `The hold would end at ${hold.until}, which is over already.`, {
        target: 'until',
      });
    }
    return ok(await holdPoint(call.installation, pointOf(call), hold));
  },
});

/** POST restorePoints/{chain}/{sequence}/release: from now on it goes by its rules again. */
route({
  name: 'releaseRestorePoint',
  methods: ['POST'],
  path: 'restorePoints/{chain}/{sequence}/release',
  caller: 'function',
  handle: async (call) => ok(await holdPoint(call.installation, pointOf(call), null)),
});

/** GET policies/{id}/compliance: how well a policy keeps its SLA, by machine and by day. */
route({
  name: 'getCompliance',
  methods: ['GET'],
  path: 'policies/{id}/compliance',
  caller: 'function',
  async handle({ installation, params, query }) {
    const id = policyIdSchema.safeParse(params['id']);
    const found = id.success ? await installation.catalog.policies.get(id.data) : null;
    if (!found) throw new HoldfastError('notFound', `There is no policy ${params['id']}.`, { target: 'id' });
    const days = z.coerce
      .number()
      .int()
      .min(1)
      .max(92)
      .safeParse(query.get('days') ?? 14);
    if (!days.success)
      throw new HoldfastError('invalidInput', '"days" wants a whole number from 1 to 92.', {
        target: 'days',
      });
    return ok(await complianceOf(installation, found.value, days.data));
  },
});
