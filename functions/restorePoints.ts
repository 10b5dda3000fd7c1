import { HoldfastError, machineIdSchema, type RestorePoint, restorePointName } from '../lib/model/index.ts';
import { findMachine } from '../lib/sessions/index.ts';
import { ok, route } from './http.ts';

const shown = (points: readonly { readonly point: RestorePoint; readonly damaged: boolean }[]) =>
  points
    .map(({ point, damaged }) => ({ name: restorePointName(point), ...point, damaged }))
    .sort((a, b) => (a.takenAt < b.takenAt ? 1 : -1));

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
    const name = params['machine'] ?? '';
    const id = machineIdSchema.safeParse(name).success ? name : (await findMachine(installation, name))?.id;
    if (id === undefined)
      throw new HoldfastError('notFound', `There is no machine ${name}.`, { target: 'machine' });
    return ok({ value: shown(await installation.catalog.points.listMachine(id)) });
  },
});
