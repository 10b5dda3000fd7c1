import { readOverview } from '../lib/sessions/index.ts';
import { ok, route } from './http.ts';

/**
 * GET overview: how the installation is: machines by coverage, the sessions of the last 24 hours, where they waited, what the
 * repositories hold, and what comes next.
 */
route({
  name: 'getOverview',
  methods: ['GET'],
  path: 'overview',
  caller: 'function',
  handle: async ({ installation }) => ok(await readOverview(installation)),
});
