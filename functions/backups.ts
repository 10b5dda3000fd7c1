import { z } from 'zod';
import {
  DEFAULT_REPOSITORY,
  flagSchema,
  HoldfastError,
  protectionSchema,
  repositoryIdSchema,
} from '../lib/model/index.ts';
import {
  needMachine,
  needRepositories,
  previewBackup,
  refuseWhileRunning,
  requestBackup,
} from '../lib/sessions/index.ts';
import { accepted, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

const bodySchema = z.strictObject({
  /** Name, ARM id or vmId. */
  machine: z.string().min(1),
  protection: protectionSchema.prefault({}),
  /** Read every disk whole. */
  reset: z.boolean().default(false),
  /** What the restore point counts for. Default: `daily`; with an expiry nothing, so that only the expiry keeps it. */
  flags: z.array(flagSchema).optional(),
  /** Kept until then, whatever the flags say. */
  expiresAt: z.iso.datetime().nullable().default(null),
  /** Where the restore point goes, and which repositories get one of the same snapshots. */
  repository: repositoryIdSchema.default(DEFAULT_REPOSITORY),
  copies: z.array(repositoryIdSchema).max(4).default([]),
  dryRun: z.boolean().default(false),
  reason: z.string().max(200).default('request'),
});

/** POST backups: backs up one machine now, or says what that would read. */
route({
  name: 'startBackup',
  methods: ['POST'],
  path: 'backups',
  caller: 'function',
  async handle({ installation, instances, request, body }) {
    const { machine: name, dryRun, flags: given, ...rest } = await body(bodySchema);
    const { protection, reset, expiresAt, repository, copies } = rest;
    if (expiresAt !== null && Date.parse(expiresAt) <= installation.clock.now().getTime()) {
      throw new HoldfastError('invalidInput', `The expiry ${expiresAt} is over already.`, {
        target: 'expiresAt',
      });
    }
    const flags = given ?? (expiresAt === null ? (['daily'] as const) : []);
    await needRepositories(installation, [repository, ...copies]);
    const machine = await needMachine(installation, name);
    if (dryRun) {
      const disks = await previewBackup(installation, machine, { reset, protection, repository });
      return ok({ machine, disks });
    }
    await refuseWhileRunning(installation, machine);
    const asked = { ...rest, machine, flags, policyId: null, parentId: null };
    return accepted(
      request,
      await showSession(installation, await requestBackup(installation, instances, asked)),
    );
  },
});
