import { allMachines } from '../lib/sessions/index.ts';
import { ok, route } from './http.ts';

/** GET machines: every VM that the installation sees, with the policy and the restore point that protect it. */
route({
  name: 'listMachines',
  methods: ['GET'],
  path: 'machines',
  caller: 'function',
  async handle({ installation }) {
    const value = [];
    for await (const machine of allMachines(installation)) {
      const newest = (await installation.catalog.points.listMachine(machine.id)).at(-1);
      const { sessions } = await installation.catalog.sessions.list({
        machineId: machine.id,
        kind: 'backup',
        limit: 20,
      });
      value.push({
        ...machine,
        protectedBy: sessions.find(({ policyId }) => policyId !== null)?.policyId ?? null,
        lastRestorePointAt: newest?.point.takenAt ?? null,
      });
    }
    return ok({ value });
  },
});
