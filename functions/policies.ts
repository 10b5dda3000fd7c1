import { z } from 'zod';
import { HoldfastError, type Policy, policyIdSchema, policySchema } from '../lib/model/index.ts';
import { checkCalendar, nextCalendarSlots } from '../lib/schedule/index.ts';
import { requestPolicyRun } from '../lib/sessions/index.ts';
import { accepted, type Call, ok, route } from './http.ts';
import { showSession } from './sessions.ts';

const NEXT_SLOTS = 5;

const isObject = (body: unknown): body is object => typeof body === 'object' && body !== null;

function idOf({ params }: Call): string {
  const parsed = policyIdSchema.safeParse(params['id']);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues[0]?.message;
  throw new HoldfastError('invalidInput', `"${params['id']}" cannot be the id of a policy: ${why}.`, {
    target: 'id',
  });
}

async function needPolicy(call: Call): Promise<{ value: Policy; etag: string }> {
  const found = await call.installation.catalog.policies.get(idOf(call));
  if (found) return found;
  throw new HoldfastError('notFound', `There is no policy ${call.params['id']}.`, { target: 'id' });
}

function shown(policy: Policy, now: Date) {
  const { calendar, enabled } = policy;
  const next =
    calendar && enabled ? nextCalendarSlots(calendar, now, NEXT_SLOTS).map(({ at }) => at.toISOString()) : [];
  return { ...policy, nextSlots: next };
}

/** GET policies. */
route({
  name: 'listPolicies',
  methods: ['GET'],
  path: 'policies',
  caller: 'function',
  async handle({ installation: { catalog, clock } }) {
    return ok({ value: (await catalog.policies.list()).map(({ value }) => shown(value, clock.now())) });
  },
});

/** GET policies/{id}, with its etag. */
route({
  name: 'getPolicy',
  methods: ['GET'],
  path: 'policies/{id}',
  caller: 'function',
  async handle(call) {
    const { value, etag } = await needPolicy(call);
    return { ...ok(shown(value, call.installation.clock.now())), headers: { ETag: etag } };
  },
});

/** PUT policies/{id}: creates or replaces; with If-Match only that version, with If-None-Match: * only a new one. */
route({
  name: 'putPolicy',
  methods: ['PUT'],
  path: 'policies/{id}',
  caller: 'function',
  async handle(call) {
    const id = idOf(call);
    const { policies } = call.installation.catalog;
    const policy = await call.body(
      z.preprocess((body) => (isObject(body) ? { id, ...body } : body), policySchema),
    );
    if (policy.id !== id)
      throw new HoldfastError('invalidInput', `The body's id is ${policy.id}, the URL's is ${id}.`, {
        target: 'id',
      });
    if (policy.calendar) checkCalendar(policy.calendar);
    const ifMatch = call.request.headers.get('if-match');
    const onlyNew = call.request.headers.get('if-none-match') === '*';
    const { value, etag } = await policies.put(policy, onlyNew ? null : (ifMatch ?? undefined));
    return { ...ok(shown(value, call.installation.clock.now())), headers: { ETag: etag } };
  },
});

/** POST policies/{id}/start: runs the policy now, beside its schedule. */
route({
  name: 'startPolicy',
  methods: ['POST'],
  path: 'policies/{id}/start',
  caller: 'function',
  async handle(call) {
    const { installation, instances, request } = call;
    const { value } = await needPolicy(call);
    return accepted(
      request,
      await showSession(installation, await requestPolicyRun(installation, instances, value, null)),
    );
  },
});
