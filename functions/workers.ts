import type { z } from 'zod';
import type { WorkerRow } from '../lib/catalog/index.ts';
import type { Installation } from '../lib/installation/index.ts';
import {
  claimRequestSchema,
  completeRequestSchema,
  failRequestSchema,
  renewRequestSchema,
} from '../lib/model/index.ts';
import { claimJob, completeJob, failJob, findPackage, recognise, renewJob } from '../lib/sessions/index.ts';
import { ok, route } from './http.ts';

/** POST worker/claim | renew | complete | fail: the calls of worker VMs, each with the token of the VM's own identity. */
function workerCall<T>(
  name: string,
  verb: string,
  schema: z.ZodType<T>,
  handle: (installation: Installation, caller: WorkerRow, body: T) => Promise<unknown>,
): void {
  route({
    name,
    methods: ['POST'],
    path: `worker/${verb}`,
    caller: 'worker',
    async handle({ installation, request, body }) {
      // The caller first: a stranger learns nothing about what a body should look like.
      const caller = await recognise(installation, request.headers.get('authorization'));
      return ok(await handle(installation, caller, await body(schema)));
    },
  });
}

workerCall('claimJob', 'claim', claimRequestSchema, claimJob);
workerCall('renewJob', 'renew', renewRequestSchema, renewJob);
workerCall('completeJob', 'complete', completeRequestSchema, completeJob);
workerCall('failJob', 'fail', failRequestSchema, failJob);

/** GET worker/package: digest and URL of the program that a booting worker is to run. */
route({
  name: 'getWorkerPackage',
  methods: ['GET'],
  path: 'worker/package',
  caller: 'worker',
  async handle({ installation, request }) {
    await recognise(installation, request.headers.get('authorization'));
    return ok(await findPackage(installation));
  },
});
