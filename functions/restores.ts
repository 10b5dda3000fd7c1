import { z } from 'zod';
import { moverSchema } from '../lib/model/index.ts';
import { previewRestore, requestRestore } from '../lib/sessions/index.ts';
import { accepted, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

const bodySchema = z.strictObject({
  /** `<chain>/<sequence>`. */
  restorePoint: z.string(),
  disks: z.array(z.number().int().nonnegative()).min(1).optional(),
  resourceGroup: z.string().min(1).max(90).optional(),
  namePrefix: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,30}$/)
    .optional(),
  mover: moverSchema.optional(),
  dryRun: z.boolean().default(false),
});

/** POST restores: restores disks of a restore point to new managed disks. */
route({
  name: 'startRestore',
  methods: ['POST'],
  path: 'restores',
  caller: 'function',
  async handle({ installation, instances, request, body }) {
    const { dryRun, ...asked } = await body(bodySchema);
    if (dryRun) return ok(await previewRestore(installation, asked));
    return accepted(
      request,
      await showSession(installation, await requestRestore(installation, instances, asked)),
    );
  },
});
