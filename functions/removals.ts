import { z } from 'zod';
import type { Installation } from '../lib/installation/index.ts';
import { HoldfastError, machineIdSchema } from '../lib/model/index.ts';
import { findMachine, planRemoval, type RemovalAsked, requestRemoval } from '../lib/sessions/index.ts';
import { accepted, type Call, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

const bodySchema = z.strictObject({
  /** All restore points of the machine, those that are named `<chain>/<sequence>`, or none. */
  points: z.union([z.enum(['none', 'all']), z.array(z.string()).min(1).max(1000)]).default('none'),
  snapshots: z.enum(['none', 'all', 'policy', 'manual']).default('none'),
  dryRun: z.boolean().default(false),
  reason: z.string().max(200).default('request'),
});

/** By name or vmId, also of one that is gone. */
async function machineIdOf(installation: Installation, name: string): Promise<string> {
  if (machineIdSchema.safeParse(name).success) return name;
  const id = (await findMachine(installation, name))?.id;
  if (id !== undefined) return id;
  throw new HoldfastError(
    'notFound',
    `There is no machine ${name}. What is kept of one that is gone is found by its vmId.`,
    { target: 'machine' },
  );
}

async function removeOrPlan(
  { installation, instances, request }: Call,
  asked: Omit<RemovalAsked, 'before'>,
  { dryRun, reason }: { dryRun: boolean; reason: string },
) {
  if (dryRun) {
    const before = installation.clock.now().toISOString();
    return ok(await planRemoval(installation, { ...asked, before }));
  }
  const session = await requestRemoval(installation, instances, asked, reason);
  return accepted(request, await showSession(installation, session));
}

const queryOf = ({ query }: Call) => ({
  dryRun: query.get('dryRun') === 'true',
  reason: query.get('reason') ?? 'request',
});

/** POST machines/{machine}/removals: removes restore points and snapshots of a machine, or says what would go and what stays. */
route({
  name: 'removeMachineData',
  methods: ['POST'],
  path: 'machines/{machine}/removals',
  caller: 'function',
  async handle(call) {
    const { points, snapshots, ...how } = await call.body(bodySchema);
    const machineId = await machineIdOf(call.installation, call.params['machine'] ?? '');
    return removeOrPlan(call, { machineId, points, snapshots }, how);
  },
});

/** DELETE machines/{machine}/restorePoints: all of them; with dryRun=true it only says what would go and what stays. */
route({
  name: 'deleteMachineRestorePoints',
  methods: ['DELETE'],
  path: 'machines/{machine}/restorePoints',
  caller: 'function',
  async handle(call) {
    const machineId = await machineIdOf(call.installation, call.params['machine'] ?? '');
    return removeOrPlan(call, { machineId, points: 'all', snapshots: 'none' }, queryOf(call));
  },
});

/** DELETE restorePoints/{chain}/{sequence}: one; 423 when it is held or immutable, with the date. */
route({
  name: 'deleteRestorePoint',
  methods: ['DELETE'],
  path: 'restorePoints/{chain}/{sequence}',
  caller: 'function',
  async handle(call) {
    const { chain = '', sequence = '' } = call.params;
    const number = Number(sequence);
    const row = Number.isSafeInteger(number)
      ? await call.installation.catalog.points.get(chain, number)
      : null;
    if (!row || row.removedAt !== null)
      throw new HoldfastError('notFound', `There is no restore point ${chain}/${sequence}.`, {
        target: `${chain}/${sequence}`,
      });
    const { machineId } = row.point;
    const points = [`${chain}/${number}`];
    return removeOrPlan(call, { machineId, points, snapshots: 'none' }, queryOf(call));
  },
});
