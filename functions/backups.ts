import { z } from 'zod';
import { protectionSchema } from '../lib/model/index.ts';
import { needMachine, previewBackup, refuseWhileRunning, requestBackup } from '../lib/sessions/index.ts';
import { accepted, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

const bodySchema = z.strictObject({
  /** Name, ARM id or vmId. */
  machine: z.string().min(1),
  protection: protectionSchema.prefault({}),
  /** Read every disk whole. */
  reset: z.boolean().default(false),
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
    const { machine: name, dryRun, protection, reset, reason } = await body(bodySchema);
    const machine = await needMachine(installation, name);
    if (dryRun) return ok({ machine, disks: await previewBackup(installation, machine, reset) });
    await refuseWhileRunning(installation, machine);
    const asked = { machine, protection, reset, reason, policyId: null, parentId: null };
    return accepted(
      request,
      await showSession(installation, await requestBackup(installation, instances, asked)),
    );
  },
});
