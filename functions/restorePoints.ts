import type { Installation } from '../lib/installation/index.ts';
import { HoldfastError, machineIdSchema, restorePointName } from '../lib/model/index.ts';
import { findMachine, listDamage } from '../lib/sessions/index.ts';
import { ok, route } from './http.ts';

type Row = Awaited<ReturnType<Installation['catalog']['points']['list']>>[number];

/** Newest first, with what the service knows of each beside what the repository says. */
const shown = (rows: readonly Row[]) =>
  rows
    .map(({ point, damaged, missing, retention, immutableUntil, repositoryId }) => ({
      name: restorePointName(point),
      ...point,
      state: missing ? 'missing' : damaged ? 'damaged' : 'ok',
      damaged,
      flags: retention.flags,
      hold: retention.hold,
      expiresAt: retention.expiresAt,
      immutableUntil,
      repositoryId,
    }))
    .sort((a, b) => (a.takenAt < b.takenAt ? 1 : -1));

/** The id of a machine by its name, ARM id or vmId; also of one that is gone, by its vmId. */
export async function machineIdOf(installation: Installation, name: string): Promise<string> {
  const id = machineIdSchema.safeParse(name).success ? name : (await findMachine(installation, name))?.id;
  if (id !== undefined) return id;
  throw new HoldfastError('notFound', `There is no machine ${name}.`, { target: 'machine' });
}

/** GET restorePoints: of all machines, newest first. */
route({
  name: 'listRestorePoints',
  methods: ['GET'],
  path: 'restorePoints',
  caller: 'function',
  async handle({ installation: { catalog } }) {
    const machines = await catalog.points.machines();
    return ok({
      value: shown((await Promise.all(machines.map((id) => catalog.points.listMachine(id)))).flat()),
    });
  },
});

/** GET machines/{machine}/restorePoints: of one machine, by name or vmId, also of one that is gone. */
route({
  name: 'listMachineRestorePoints',
  methods: ['GET'],
  path: 'machines/{machine}/restorePoints',
  caller: 'function',
  async handle({ installation, params }) {
    const id = await machineIdOf(installation, params['machine'] ?? '');
    return ok({ value: shown(await installation.catalog.points.listMachine(id)) });
  },
});

/** GET damage: restore points that are damaged or missing, with everything that it affects; of one machine with ?machine=. */
route({
  name: 'listDamage',
  methods: ['GET'],
  path: 'damage',
  caller: 'function',
  async handle({ installation, query }) {
    const machine = query.get('machine');
    const id = machine === null ? undefined : await machineIdOf(installation, machine);
    return ok({ value: await listDamage(installation, id) });
  },
});
