import { z } from 'zod';
import { HoldfastError, type Machine } from '../lib/model/index.ts';
import {
  coverMachine,
  type Survey,
  type SurveyedMachine,
  surveyMachines,
  withPowerStates,
} from '../lib/sessions/index.ts';
import { API_VERSION, type Call, ok, route } from './http.ts';

const querySchema = z.object({
  policy: z.string().optional(),
  state: z.enum(['protected', 'late', 'waiting', 'none']).optional(),
  maxpagesize: z.coerce.number().int().min(1).max(1000).default(500),
  after: z.string().optional(),
});

type Query = z.infer<typeof querySchema>;

/** Machines that are looked at side by side. */
const SIDE_BY_SIDE = 8;

/** GET machines: every VM that the installation sees, the policy that it belongs to and why, and whether it is protected. */
route({
  name: 'listMachines',
  methods: ['GET'],
  path: 'machines',
  caller: 'function',
  handle: async (call) => listMachines(call, queryOf(call.query)),
});

/** GET policies/{id}/machines: those that belong to a policy. */
route({
  name: 'listPolicyMachines',
  methods: ['GET'],
  path: 'policies/{id}/machines',
  caller: 'function',
  async handle(call) {
    const id = call.params['id'] ?? '';
    if (!(await call.installation.catalog.policies.get(id)))
      throw new HoldfastError('notFound', `There is no policy ${id}.`, { target: 'id' });
    return listMachines(call, { ...queryOf(call.query), policy: id });
  },
});

async function listMachines({ installation, request }: Call, query: Query) {
  const survey = await surveyMachines(installation);
  const from = query.after === undefined ? undefined : Buffer.from(query.after, 'base64url').toString();
  const wanted = survey.machines.filter(
    ({ machine, assignment }) =>
      (query.policy === undefined || assignment?.policyId === query.policy) &&
      (from === undefined || keyOf(machine) > from),
  );
  const page = wanted.slice(0, query.maxpagesize);
  const last = page.at(-1);
  const powered = new Map(
    (
      await withPowerStates(
        installation,
        page.map(({ machine }) => machine),
      )
    ).map((machine) => [machine.id, machine]),
  );
  const value = [];
  for (let at = 0; at < page.length; at += SIDE_BY_SIDE) {
    const some = page.slice(at, at + SIDE_BY_SIDE);
    value.push(
      ...(await Promise.all(
        some.map(async (one) => ({
          ...(powered.get(one.machine.id) ?? one.machine),
          ...(await showProtection(installation, survey, one)),
        })),
      )),
    );
  }
  return ok({
    value: query.state === undefined ? value : value.filter(({ coverage }) => coverage === query.state),
    ...(survey.troubles.length === 0 ? {} : { warnings: survey.troubles.map(({ message }) => message) }),
    ...(last && wanted.length > page.length ? { nextLink: nextLink(request.url, keyOf(last.machine)) } : {}),
  });
}

async function showProtection(installation: Call['installation'], survey: Survey, one: SurveyedMachine) {
  const { coverage, ...points } = await coverMachine(installation, survey, one);
  const { assignment } = one;
  return {
    protectedBy: assignment?.policyId ?? null,
    protectedBecause: assignment?.why ?? null,
    passedOver: assignment?.passedOver ?? [],
    coverage: coverage.state,
    coverageWhy: coverage.why,
    rpoSeconds: coverage.rpoSeconds,
    ...points,
  };
}

/** The order of a survey: names, then ids. */
const keyOf = ({ name, id }: Machine): string => `${name}\u0000${id}`;

function queryOf(query: URLSearchParams): Query {
  const parsed = querySchema.safeParse(Object.fromEntries(query));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HoldfastError(
    'invalidInput',
    `The query is not right: ${issue?.path.join('.')}: ${issue?.message}.`,
    {
      target: issue?.path.join('.') ?? '',
    },
  );
}

function nextLink(url: string, after: string): string {
  const next = new URL(url);
  next.searchParams.set('after', Buffer.from(after).toString('base64url'));
  next.searchParams.set('api-version', API_VERSION);
  return next.href;
}
