import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { z } from 'zod';
import { durableInstances } from '../activities/instances.ts';
import { openInstallation } from '../lib/installation/index.ts';
import { HoldfastError, isHoldfastError, type Machine, snapshotTagsSchema } from '../lib/model/index.ts';
import {
  describeSets,
  needMachine,
  ORPHAN_DAYS,
  refuseRemoval,
  requestSnapshots,
  requestTending,
} from '../lib/sessions/index.ts';
import { accepted, type Call, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

const querySchema = z.object({
  /** Name, ARM id or vmId; also of a machine that is gone. */
  machine: z.string().optional(),
  kind: z.enum(['policy', 'manual', 'temporary', 'orphan']).optional(),
});

async function listed({ installation, query }: Call) {
  const parsed = querySchema.safeParse(Object.fromEntries(query));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new HoldfastError('invalidInput', `The query is not right: ${issue?.message}.`, {
      target: issue?.path.join('.') ?? '',
    });
  }
  const { machine, kind } = parsed.data;
  const wanted = machine?.toLowerCase();
  const last = wanted?.split('/').at(-1);
  return (await describeSets(installation)).filter(
    ({ shown }) =>
      (kind === undefined || shown.kind === kind) &&
      (wanted === undefined || shown.machineId === wanted || shown.machineName?.toLowerCase() === last),
  );
}

/** GET snapshots: every set of ours, newest first; of one machine, of one kind. */
route({
  name: 'listSnapshots',
  methods: ['GET'],
  path: 'snapshots',
  caller: 'function',
  handle: async (call) => ok({ value: (await listed(call)).map(({ shown }) => shown) }),
});

const createSchema = z.strictObject({
  /** Names, ARM ids or vmIds. */
  machines: z.array(z.string().min(1)).min(1).max(100),
  tags: snapshotTagsSchema.default({}),
  copyTags: z.boolean().default(false),
  resourceGroup: z.string().min(1).max(90).nullable().default(null),
  expiresAt: z.iso.datetime().nullable().default(null),
  reason: z.string().max(200).default('request'),
});

/** POST snapshots: takes snapshots of machines now, outside chains and retention. A session each. */
route({
  name: 'takeSnapshots',
  methods: ['POST'],
  path: 'snapshots',
  caller: 'function',
  async handle({ installation, instances, body }) {
    const { machines: names, ...asked } = await body(createSchema);
    const machines: Machine[] = [];
    for (const name of names) machines.push(await needMachine(installation, name));
    const sessions = await requestSnapshots(installation, instances, { ...asked, machines });
    const value = await Promise.all(sessions.map((session) => showSession(installation, session)));
    return { status: 202, jsonBody: { value } };
  },
});

async function remove(call: Call, names: readonly string[], force: boolean) {
  const { installation, instances, request } = call;
  const sets = (await describeSets(installation)).filter(({ shown }) => names.includes(shown.name));
  const unknown = names.find((name) => !sets.some(({ shown }) => shown.name === name));
  if (unknown !== undefined)
    throw new HoldfastError('notFound', `There is no snapshot set ${unknown} of ours.`, { target: unknown });
  for (const { set } of sets) await refuseRemoval(installation, set, force);
  const subscriptionIds = [...new Set(sets.map(({ set }) => set.subscriptionId))];
  const asked = { kind: 'snapshotRemoval' as const, sets: [...names], subscriptionIds };
  const session = await requestTending(installation, instances, asked, 'request');
  return accepted(request, await showSession(installation, session));
}

/** DELETE snapshots/{name}?force=true: removes a set. Without force not the base of a next incremental. */
route({
  name: 'deleteSnapshot',
  methods: ['DELETE'],
  path: 'snapshots/{name}',
  caller: 'function',
  handle: (call) => remove(call, [call.params['name'] ?? ''], call.query.get('force') === 'true'),
});

const removalSchema = z
  .strictObject({
    /** Sets by name, ... */
    names: z.array(z.string().min(1)).min(1).max(500).optional(),
    /** ... or those of a machine, by its name, ARM id or vmId, ... */
    machine: z.string().min(1).optional(),
    /** ... of one kind, or all. */
    kind: z.enum(['all', 'policy', 'manual', 'temporary', 'orphan']).default('all'),
    force: z.boolean().default(false),
  })
  .refine(
    ({ names, machine }) => (names === undefined) !== (machine === undefined),
    'wants names or a machine',
  );

/** POST snapshots/remove: removes sets by name, or those of a machine. Without force the base stays. */
route({
  name: 'removeSnapshots',
  methods: ['POST'],
  path: 'snapshots/remove',
  caller: 'function',
  async handle(call) {
    const { names, machine, kind, force } = await call.body(removalSchema);
    if (names !== undefined) return remove(call, names, force);
    const query = new URLSearchParams({ machine: machine ?? '', ...(kind === 'all' ? {} : { kind }) });
    const sets = (await listed({ ...call, query })).filter(({ shown }) => force || !shown.base);
    if (sets.length === 0)
      throw new HoldfastError('notFound', `Machine ${machine} has no such snapshots that may go.`, {
        target: 'machine',
      });
    return remove(
      call,
      sets.map(({ shown }) => shown.name),
      force,
    );
  },
});

/** POST snapshots/rescan: finds our snapshots by their tags, and takes up what they say. */
route({
  name: 'rescanSnapshots',
  methods: ['POST'],
  path: 'snapshots/rescan',
  caller: 'function',
  async handle({ installation, instances, request }) {
    const session = await requestTending(installation, instances, { kind: 'snapshotRescan' }, 'request');
    return accepted(request, await showSession(installation, session));
  },
});

/** POST snapshots/retention: removes what no policy's retention looks at any more, as happens once a day. */
route({
  name: 'retainSnapshots',
  methods: ['POST'],
  path: 'snapshots/retention',
  caller: 'function',
  async handle({ installation, instances, request, body }) {
    const { orphanDays } = await body(
      z.strictObject({ orphanDays: z.number().int().min(1).max(3650).default(ORPHAN_DAYS) }),
    );
    const asked = { kind: 'snapshotRetention', orphanDays } as const;
    const session = await requestTending(installation, instances, asked, 'request');
    return accepted(request, await showSession(installation, session));
  },
});

/** Once a day: removes the snapshots that no policy's retention looks at any more. */
app.timer('snapshotRetention', {
  schedule: '0 43 4 * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const installation = await openInstallation();
    const instances = durableInstances(df.getClient(context));
    const asked = { kind: 'snapshotRetention', orphanDays: ORPHAN_DAYS } as const;
    try {
      await requestTending(installation, instances, asked, 'daily');
    } catch (error) {
      // Yesterday's is still at it.
      if (!isHoldfastError(error, 'previousRunning')) throw error;
    }
  },
});
