import { z } from 'zod';
import { repositoryIdSchema } from '../lib/model/index.ts';
import { protectionOf, readOwner, refreshRepository } from '../lib/repository/index.ts';
import {
  adoptOwnRepository,
  type MaintenanceRequest,
  previewAdoption,
  previewCollection,
  requestMaintenance,
} from '../lib/sessions/index.ts';
import { accepted, type Call, ok, route } from './http.ts';
import { secretName } from './repositoryKeys.ts';
import { showSession } from './sessions.ts';

/** GET repository, with `repository` another than that of the settings: what it is, who owns it, and what its mode protects against. */
route({
  name: 'getRepository',
  methods: ['GET'],
  path: 'repository',
  caller: 'function',
  async handle({ installation, query }) {
    const repository = await refreshRepository(
      await installation.repository(query.get('repository') ?? undefined),
    );
    const owner = await readOwner(repository);
    const { id, mode, counter, slots } = repository;
    return ok({
      id,
      mode,
      protection: protectionOf(mode),
      counter,
      slots: slots.map((slot) => ({ id: slot.id, kind: slot.kind })),
      owner: owner?.installation ?? null,
      ownerSince: owner?.since ?? null,
      ownerSeenAt: owner?.seenAt.toISOString() ?? null,
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

/** Its name in the installation; without one, the repository of the settings. */
const repository = repositoryIdSchema.optional();

const checkSchema = z.strictObject({
  repository,
  depth: z.enum(['structure', 'content', 'rolling']).default('structure'),
  budgetSeconds: z.number().int().min(30).max(86_400).default(1800),
});

/** POST repository/check: verifies the repository at a depth. */
route({
  name: 'checkRepositoryNow',
  methods: ['POST'],
  path: 'repository/check',
  caller: 'function',
  async handle(call) {
    const { repository: id, ...asked } = await call.body(checkSchema);
    return start(call, { kind: 'check', ...asked, ...(id === undefined ? {} : { repository: id }) });
  },
});

/** POST repository/collect: collects and compacts, or says what that would remove and write. */
route({
  name: 'collectGarbageNow',
  methods: ['POST'],
  path: 'repository/collect',
  caller: 'function',
  async handle(call) {
    const body = z.strictObject({ repository, dryRun: z.boolean().default(false) });
    const { dryRun, repository: id } = await call.body(body);
    return dryRun
      ? ok({ value: await previewCollection(call.installation, id) })
      : start(call, { kind: 'collection', ...(id === undefined ? {} : { repository: id }) });
  },
});

/** POST repository/rescan: makes the catalog again from the repository. */
route({
  name: 'rescanRepositoryNow',
  methods: ['POST'],
  path: 'repository/rescan',
  caller: 'function',
  async handle(call) {
    const body = z.strictObject({ repository, accept: z.array(z.string()).default([]) });
    const { repository: id, ...asked } = await call.body(body);
    return start(call, { kind: 'rescan', ...asked, ...(id === undefined ? {} : { repository: id }) });
  },
});

const adoptionSchema = z.strictObject({
  passwordSecret: secretName.optional(),
  takeOver: z.string().min(1).optional(),
  recover: z.boolean().default(false),
  dryRun: z.boolean().default(false),
});

/**
 * POST repository/adopt: becomes the owner of the repository that is in the containers of the settings, and rescans it. One of
 * another installation must be taken over, by naming that installation.
 */
route({
  name: 'adoptRepository',
  methods: ['POST'],
  path: 'repository/adopt',
  caller: 'function',
  async handle(call) {
    const { dryRun, ...asked } = await call.body(adoptionSchema);
    if (dryRun) return ok(await previewAdoption(call.installation, asked));
    await adoptOwnRepository(call.installation, asked);
    return start(call, { kind: 'rescan', accept: [] });
  },
});
