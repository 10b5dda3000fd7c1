import { z } from 'zod';
import { assumptionsSchema, priceTableSchema } from '../lib/cost/index.ts';
import { estimatePolicy, findPolicy, pricesInForce, readDraft } from '../lib/sessions/index.ts';
import { ok, route } from './http.ts';
import { policyIdOf } from './policyDocuments.ts';

const askedSchema = z.strictObject({
  assumptions: assumptionsSchema.prefault({}),
  /** Another price table, for this estimate. */
  prices: priceTableSchema.optional(),
  /** Name, id or ARM id: only this machine, whether it belongs to the policy or not. */
  machine: z.string().min(1).optional(),
  /** The policy as it would be, instead of the stored one. */
  policy: z.unknown().optional(),
});

/** POST policies/{id}/estimate: what it costs a month, by machine; nothing is changed. */
route({
  name: 'estimatePolicy',
  methods: ['POST'],
  path: 'policies/{id}/estimate',
  caller: 'function',
  async handle(call) {
    const id = policyIdOf(call);
    const { policy: draft, ...asked } = await call.body(askedSchema);
    const policy =
      draft === undefined ? (await findPolicy(call.installation, id)).value : readDraft(id, draft);
    return ok(await estimatePolicy(call.installation, policy, asked));
  },
});

/** GET prices: the table in force, the shipped one unless an operator put another in its place. */
route({
  name: 'getPrices',
  methods: ['GET'],
  path: 'prices',
  caller: 'function',
  handle: async ({ installation }) => ok(await pricesInForce(installation)),
});

/** PUT prices: another table for the whole installation. */
route({
  name: 'putPrices',
  methods: ['PUT'],
  path: 'prices',
  caller: 'function',
  handle: async ({ installation, body }) =>
    ok(await installation.catalog.prices.put(await body(priceTableSchema))),
});

/** DELETE prices: back to the shipped table. */
route({
  name: 'deletePrices',
  methods: ['DELETE'],
  path: 'prices',
  caller: 'function',
  async handle({ installation }) {
    await installation.catalog.prices.remove();
    return { status: 204 };
  },
});
