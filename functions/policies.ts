import type { Policy } from '../lib/model/index.ts';
import { nextCalendarSlots } from '../lib/schedule/index.ts';
import { calendarIn, findPolicy, patchPolicy, putPolicy, removePolicy } from '../lib/sessions/index.ts';
import { type Call, ok, route } from './http.ts';
import { documentOf, exported, exportFormat, policyIdOf } from './policyDocuments.ts';

const NEXT_SLOTS = 5;

interface Stored {
  readonly value: Policy;
  readonly etag: string;
}

/** A policy with what it comes to: its next slots. One in the time of regions shows those of the installation's own. */
function shown({ value: policy, etag }: Stored, { installation: { clock, settings } }: Call) {
  const calendar = calendarIn(policy, settings.HOLDFAST_LOCATION);
  const next = calendar && policy.enabled ? nextCalendarSlots(calendar, clock.now(), NEXT_SLOTS) : [];
  return { ...policy, nextSlots: next.map(({ at }) => at.toISOString()), etag };
}

export const showPolicy = (call: Call, stored: Stored) => ({
  ...ok(shown(stored, call)),
  headers: { ETag: stored.etag },
});

/** GET policies: all; with `format`, as a document that an import takes. */
route({
  name: 'listPolicies',
  methods: ['GET'],
  path: 'policies',
  caller: 'function',
  async handle(call) {
    const policies = await call.installation.catalog.policies.list();
    const format = exportFormat(call);
    return format
      ? exported({ policies: policies.map(({ value }) => value) }, format)
      : ok({ value: policies.map((one) => shown(one, call)) });
  },
});

/** GET policies/{id}, with its etag; with `format`, as a document without what is derived. */
route({
  name: 'getPolicy',
  methods: ['GET'],
  path: 'policies/{id}',
  caller: 'function',
  async handle(call) {
    const found = await findPolicy(call.installation, policyIdOf(call));
    const format = exportFormat(call);
    return format ? exported(found.value, format) : showPolicy(call, found);
  },
});

/** PUT policies/{id}: creates or replaces; with If-Match only that version, with If-None-Match: * only a new one. */
route({
  name: 'putPolicy',
  methods: ['PUT'],
  path: 'policies/{id}',
  caller: 'function',
  async handle(call) {
    const onlyNew = call.request.headers.get('if-none-match') === '*';
    const version = onlyNew ? null : ifMatchOf(call);
    const document = await documentOf(call);
    return showPolicy(call, await putPolicy(call.installation, policyIdOf(call), document, version));
  },
});

/** PATCH policies/{id}: a JSON merge patch; with If-Match only of that version. */
route({
  name: 'patchPolicy',
  methods: ['PATCH'],
  path: 'policies/{id}',
  caller: 'function',
  async handle(call) {
    const patch = await documentOf(call);
    return showPolicy(call, await patchPolicy(call.installation, policyIdOf(call), patch, ifMatchOf(call)));
  },
});

/** DELETE policies/{id}: its restore points stay for as long as they say themselves. */
route({
  name: 'deletePolicy',
  methods: ['DELETE'],
  path: 'policies/{id}',
  caller: 'function',
  async handle(call) {
    await removePolicy(call.installation, policyIdOf(call), ifMatchOf(call));
    return { status: 204 };
  },
});

function ifMatchOf({ request }: Call): string | undefined {
  const etag = request.headers.get('if-match');
  return etag === null || etag === '*' ? undefined : etag;
}
