import { z } from 'zod';
import type { Installation } from '../lib/installation/index.ts';
import {
  HoldfastError,
  type Session,
  sessionIdSchema,
  sessionKindSchema,
  sessionStatusSchema,
} from '../lib/model/index.ts';
import { createdDisks, findMachine } from '../lib/sessions/index.ts';
import { API_VERSION, ok, route } from './http.ts';

const querySchema = z.object({
  machine: z.string().optional(),
  kind: sessionKindSchema.optional(),
  status: sessionStatusSchema.optional(),
  maxpagesize: z.coerce.number().int().min(1).max(200).default(50),
  after: z.string().optional(),
});

const percentOf = (done: number, planned: number | null): number | null =>
  planned === null ? null : planned === 0 ? 100 : Math.min(100, Math.floor((100 * done) / planned));

/** A session as the API shows it: with percent per disk and overall, and the disks that a restore makes. */
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
  return {
    ...session,
    disks,
    percent: session.status === 'running' ? percent : session.error ? percent : 100,
    ...created,
  };
}

async function needSession({ catalog }: Installation, id: string | undefined): Promise<Session> {
  const session = sessionIdSchema.safeParse(id).success ? await catalog.sessions.get(id ?? '') : null;
  if (session) return session;
  throw new HoldfastError('notFound', `There is no session ${id}.`, { target: 'id' });
}

/** GET sessions: newest first; by machine, kind and status. */
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
    const { machine: name, kind, status, maxpagesize, after } = parsed.data;
    // A machine that is gone still has sessions under its vmId.
    const machineId = name === undefined ? undefined : ((await findMachine(installation, name))?.id ?? name);
    const page = await installation.catalog.sessions.list({
      limit: maxpagesize,
      ...(machineId === undefined ? {} : { machineId }),
      ...(kind === undefined ? {} : { kind }),
      ...(after === undefined ? {} : { after }),
    });
    const sessions = page.sessions.filter((session) => status === undefined || session.status === status);
    const value = await Promise.all(sessions.map((session) => showSession(installation, session)));
    return ok({ value, ...(page.next === null ? {} : { nextLink: nextLink(request.url, page.next) }) });
  },
});

function nextLink(url: string, after: string): string {
  const next = new URL(url);
  next.searchParams.set('after', after);
  next.searchParams.set('api-version', API_VERSION);
  return next.href;
}

/** GET sessions/{id}. */
route({
  name: 'getSession',
  methods: ['GET'],
  path: 'sessions/{id}',
  caller: 'function',
  handle: async ({ installation, params }) =>
    ok(await showSession(installation, await needSession(installation, params['id']))),
});

/** POST sessions/{id}/cancel: sets the flag that every poll and every worker call reads. */
route({
  name: 'cancelSession',
  methods: ['POST'],
  path: 'sessions/{id}/cancel',
  caller: 'function',
  async handle({ installation, params }) {
    const { id } = await needSession(installation, params['id']);
    const session = await installation.catalog.sessions.requestCancel(id);
    return { status: 202, jsonBody: await showSession(installation, session) };
  },
});
