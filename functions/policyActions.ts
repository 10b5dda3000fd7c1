import { z } from 'zod';
import { HoldfastError } from '../lib/model/index.ts';
import {
  diffPolicy,
  findPolicy,
  importPolicies,
  refuseWhilePolicyRuns,
  requestPolicyRun,
  setPolicyEnabled,
  stopPolicy,
  validatePolicy,
} from '../lib/sessions/index.ts';
import { accepted, ok, route } from './http.ts';
import { showPolicy } from './policies.ts';
import { documentOf, policyIdOf, refusedDocuments } from './policyDocuments.ts';
import { showSession } from './sessions.ts';

/** POST policies/{id}/start: runs the policy now, beside its schedule. */
route({
  name: 'startPolicy',
  methods: ['POST'],
  path: 'policies/{id}/start',
  caller: 'function',
  async handle(call) {
    const { installation, instances, request } = call;
    const { value } = await findPolicy(installation, policyIdOf(call));
    await refuseWhilePolicyRuns(installation, value.id);
    const session = await requestPolicyRun(installation, instances, value, null);
    return accepted(request, await showSession(installation, session));
  },
});

/** POST policies/{id}/stop: cancels its runs, and the machines that they back up. */
route({
  name: 'stopPolicy',
  methods: ['POST'],
  path: 'policies/{id}/stop',
  caller: 'function',
  async handle(call) {
    const asked = await stopPolicy(call.installation, policyIdOf(call));
    return { status: 202, jsonBody: { value: asked.map((id) => ({ id })) } };
  },
});

for (const [verb, enabled] of [
  ['enable', true],
  ['disable', false],
] as const) {
  /** POST policies/{id}/enable, /disable: with its schedule, or on request only. A run that is under way goes on. */
  route({
    name: `${verb}Policy`,
    methods: ['POST'],
    path: `policies/{id}/${verb}`,
    caller: 'function',
    handle: async (call) =>
      showPolicy(call, await setPolicyEnabled(call.installation, policyIdOf(call), enabled)),
  });
}

/** POST policies/{id}/diff: what storing the document would change. */
route({
  name: 'diffPolicy',
  methods: ['POST'],
  path: 'policies/{id}/diff',
  caller: 'function',
  handle: async (call) => ok(await diffPolicy(call.installation, policyIdOf(call), await documentOf(call))),
});

/** POST policies/validate: everything that can be said of a document before it is stored. */
route({
  name: 'validatePolicy',
  methods: ['POST'],
  path: 'policies/validate',
  caller: 'function',
  handle: async (call) => ok(await validatePolicy(call.installation, await documentOf(call))),
});

const importSchema = z.strictObject({ policies: z.array(z.unknown()), dryRun: z.boolean().default(false) });

/** POST policies/import: `{ policies: [...] }`, all or none; with `dryRun`, says what it would do. */
route({
  name: 'importPolicies',
  methods: ['POST'],
  path: 'policies/import',
  caller: 'function',
  async handle(call) {
    const parsed = importSchema.safeParse(await documentOf(call));
    if (!parsed.success)
      throw new HoldfastError(
        'invalidInput',
        'An import wants { "policies": [...] }, and dryRun if need be.',
        {
          target: 'policies',
        },
      );
    const { policies, dryRun } = parsed.data;
    const { imported, findings } = await importPolicies(call.installation, policies, dryRun);
    if (findings.some(({ level }) => level === 'error')) return refusedDocuments(findings);
    return ok({ dryRun, value: imported, warnings: findings });
  },
});
