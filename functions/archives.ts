import { z } from 'zod';
import { needMachine, requestArchive } from '../lib/sessions/index.ts';
import { accepted, route } from './http.ts';
import { showSession } from './sessions.ts';

/** POST archives: copies the newest restore point of a machine to its archive chain. The session says what is not configured. */
route({
  name: 'startArchive',
  methods: ['POST'],
  path: 'archives',
  caller: 'function',
  async handle({ installation, instances, request, body }) {
    const { machine } = await body(z.strictObject({ machine: z.string().min(1) }));
    const session = await requestArchive(installation, instances, await needMachine(installation, machine));
    return accepted(request, await showSession(installation, session));
  },
});
