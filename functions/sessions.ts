import { z } from 'zod';
import type { Installation } from '../lib/installation/index.ts';
import {
  HoldfastError,
  type Session,
  sessionIdSchema,
  sessionKindSchema,
  sessionStatusSchema,
} from '../lib/model/index.ts';
import {
  cancelSession,
  createdDisks,
  findMachine,
  readRemoved,
  readTree,
  type SessionNode,
  timesOf,
} from '../lib/sessions/index.ts';
import { csvOf } from './csv.ts';
import { API_VERSION, ok, route } from './http.ts';
import { SESSION_COLUMNS } from './sessionColumns.ts';

const querySchema = z.object({
  machine: z.string().optional(),
  policy: z.string().optional(),
  kind: sessionKindSchema.optional(),
  status: sessionStatusSchema.optional(),
  /** Begun at this moment or later, and before that one. ISO 8601. */
  from: z.iso.datetime({ offset: true }).optional(),
  to: z.iso.datetime({ offset: true }).optional(),
  format: z.enum(['json', 'csv']).default('json'),
  maxpagesize: z.coerce.number().int().min(1).max(5000).optional(),
  after: z.string().optional(),
});
type Query = z.infer<typeof querySchema>;

/** Sessions of one answer: JSON is looked at, CSV is taken away. */
const PAGE = { json: { usual: 50, most: 200 }, csv: { usual: 1000, most: 5000 } };

const percentOf = (done: number, planned: number | null): number | null =>
  planned === null ? null : planned === 0 ? 100 : Math.min(100, Math.floor((100 * done) / planned));

/** A session as the API shows it: with percent per disk and overall, seconds per phase and wait, the disks that a restore makes, and what retention removed and why. */
export async function showSession(installation: Installation, session: Session) {
  const disks = session.disks.map((disk) => ({
    ...disk,
    percent: percentOf(disk.doneBytes, disk.plannedBytes),
  }));
  const planned =
    session.disks.every(({ plannedBytes }) => plannedBytes !== null) && session.disks.length > 0;
  const sum = (pick: (disk: Session['disks'][number]) => number) =>
    session.disks.reduce((total, disk) => total + pick(disk), 0);
  const percent = planned
    ? percentOf(
        sum(({ doneBytes }) => doneBytes),
        sum(({ plannedBytes }) => plannedBytes ?? 0),
      )
    : null;
  const created =
    session.kind === 'restore' ? { createdDisks: await createdDisks(installation, session.id) } : {};
  const retention =
    session.kind === 'retention' ? { retention: await readRemoved(installation, session.id) } : {};
  return {
    ...session,
    ...timesOf(session, installation.clock.now()),
    disks,
    percent: session.status === 'running' ? percent : session.error ? percent : 100,
    ...created,
    ...retention,
  };
}

async function needSession({ catalog }: Installation, id: string | undefined): Promise<Session> {
  const session = sessionIdSchema.safeParse(id).success ? await catalog.sessions.get(id ?? '') : null;
  if (session) return session;
  throw new HoldfastError('notFound', `There is no session ${id}.`, { target: 'id' });
}

/**
 * GET sessions: newest first; by machine, policy, kind, status and time of their begin. `format=csv` gives a table for a
 * spreadsheet, whose next page is in the header Link.
 */
route({
  name: 'listSessions',
  methods: ['GET'],
  path: 'sessions',
  caller: 'function',
  async handle({ installation, query, request }) {
    const parsed = querySchema.safeParse(Object.fromEntries(query));
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new HoldfastError(
        'invalidInput',
        `The query is not right: ${issue?.path.join('.')}: ${issue?.message}.`,
        { target: issue?.path.join('.') ?? '' },
      );
    }
    const { sessions, next } = await find(installation, parsed.data);
    const more = next === null ? null : nextLink(request.url, next);
    if (parsed.data.format === 'csv') {
      const headers = {
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': 'attachment; filename="sessions.csv"',
        ...(more === null ? {} : { link: `<${more}>; rel="next"` }),
      };
      return { status: 200, headers, body: csvOf(SESSION_COLUMNS, sessions) };
    }
    const value = await Promise.all(sessions.map((session) => showSession(installation, session)));
    return ok({ value, ...(more === null ? {} : { nextLink: more }) });
  },
});

/** A page of sessions: what does not match is looked past, up to some pages of rows; the answer may then hold few. */
async function find(
  installation: Installation,
  query: Query,
): Promise<{ sessions: Session[]; next: string | null }> {
  const { usual, most } = PAGE[query.format];
  const wanted = Math.min(query.maxpagesize ?? usual, most);
  // A machine that is gone still has sessions under its vmId.
  const machineId =
    query.machine === undefined
      ? undefined
      : ((await findMachine(installation, query.machine))?.id ?? query.machine);
  const sessions: Session[] = [];
  let after = query.after;
  for (let rows = 0; rows < most; ) {
    const page = await installation.catalog.sessions.list({
      limit: Math.min(200, wanted - sessions.length),
      ...(machineId === undefined ? {} : { machineId }),
      ...(after === undefined ? {} : { after }),
    });
    rows += Math.min(200, wanted - sessions.length);
    sessions.push(...page.sessions.filter((session) => matches(session, query)));
    const oldest = page.sessions.at(-1);
    // Ids go by the time of their begin; a day's grace for those that were named by an earlier slot.
    const past =
      query.from !== undefined && oldest && Date.parse(oldest.startedAt) < Date.parse(query.from) - DAY_MS;
    if (page.next === null || past) return { sessions, next: null };
    after = page.next;
    if (sessions.length >= wanted) break;
  }
  return { sessions, next: after ?? null };
}

const DAY_MS = 86_400_000;

function matches(session: Session, { policy, kind, status, from, to }: Query): boolean {
  const began = Date.parse(session.startedAt);
  return (
    (policy === undefined || session.policyId === policy) &&
    (kind === undefined || session.kind === kind) &&
    (status === undefined || session.status === status) &&
    (from === undefined || began >= Date.parse(from)) &&
    (to === undefined || began < Date.parse(to))
  );
}

function nextLink(url: string, after: string): string {
  const next = new URL(url);
  next.searchParams.set('after', after);
  next.searchParams.set('api-version', API_VERSION);
  return next.href;
}

/** GET sessions/{id}; with `expand=tree` also the sessions that it started, and the shards of every disk. */
route({
  name: 'getSession',
  methods: ['GET'],
  path: 'sessions/{id}',
  caller: 'function',
  async handle({ installation, params, query }) {
    const session = await needSession(installation, params['id']);
    const expand = query.get('expand');
    if (expand !== null && expand !== 'tree')
      throw new HoldfastError('invalidInput', `expand=${expand} is not known; it can be "tree".`, {
        target: 'expand',
      });
    return ok(
      expand === 'tree'
        ? await showTree(installation, await readTree(installation, session))
        : await showSession(installation, session),
    );
  },
});

async function showTree(installation: Installation, node: SessionNode): Promise<unknown> {
  const shown = await showSession(installation, node.session);
  return {
    ...shown,
    disks: shown.disks.map((disk, i) => ({ ...disk, shards: node.disks[i]?.shards ?? [] })),
    children: await Promise.all(node.children.map((child) => showTree(installation, child))),
    moreChildren: node.more,
  };
}

/** POST sessions/{id}/cancel: sets the flag that every poll and every worker call reads, also of what it started. */
route({
  name: 'cancelSession',
  methods: ['POST'],
  path: 'sessions/{id}/cancel',
  caller: 'function',
  async handle({ installation, params }) {
    const { id } = await needSession(installation, params['id']);
    const session = await cancelSession(installation, id);
    return { status: 202, jsonBody: await showSession(installation, session) };
  },
});
