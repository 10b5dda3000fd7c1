import { z } from 'zod';
import { protectionOf, readOwner } from '../lib/repository/index.ts';
import { type MaintenanceRequest, previewCollection, requestMaintenance } from '../lib/sessions/index.ts';
import { accepted, type Call, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

/** GET repository: what it is, who owns it, and what its mode protects against. */
route({
  name: 'getRepository',
  methods: ['GET'],
  path: 'repository',
  caller: 'function',
  async handle({ installation }) {
    const repository = await installation.repository();
    const owner = await readOwner(repository);
    const { id, mode, counter, slots } = repository;
    return ok({
      id,
      mode,
      protection: protectionOf(mode),
      counter,
      slots: slots.map((slot) => ({ id: slot.id, kind: slot.kind })),
      owner: owner?.installation ?? null,
      meta: repository.meta.name,
      data: repository.data.name,
    });
  },
});

async function start({ installation, instances, request }: Call, asked: MaintenanceRequest) {
  return accepted(
    request,
    await showSession(installation, await requestMaintenance(installation, instances, asked, 'request')),
  );
}

const checkSchema = z.strictObject({
  depth: z.enum(['structure', 'content', 'rolling']).default('structure'),
  budgetSeconds: z.number().int().min(30).max(86_400).default(1800),
});

/** POST repository/check: verifies the repository at a depth. */
route({
  name: 'checkRepositoryNow',
  methods: ['POST'],
  path: 'repository/check',
  caller: 'function',
  handle: async (call) => start(call, { kind: 'check', ...(await call.body(checkSchema)) }),
});

/** POST repository/collect: collects and compacts, or says what that would remove and write. */
route({
  name: 'collectGarbageNow',
  methods: ['POST'],
  path: 'repository/collect',
  caller: 'function',
  async handle(call) {
    const { dryRun } = await call.body(z.strictObject({ dryRun: z.boolean().default(false) }));
    return dryRun
      ? ok({ value: await previewCollection(call.installation) })
      : start(call, { kind: 'collection' });
  },
});

/** POST repository/rescan: makes the catalog again from the repository. */
route({
  name: 'rescanRepositoryNow',
  methods: ['POST'],
  path: 'repository/rescan',
  caller: 'function',
  handle: async (call) =>
    start(call, {
      kind: 'rescan',
      ...(await call.body(z.strictObject({ accept: z.array(z.string()).default([]) }))),
    }),
});
