import { isHoldfastError } from '../lib/model/index.ts';
import { type SessionAnswer, sessionAnswer } from './answers.ts';
import type { Context } from './context.ts';
import { createProgress } from './progress.ts';

const POLL_MS = 1000;
/** A session's row may be a moment behind the start's answer. */
const APPEARS_WITHIN_POLLS = 30;

/** Follows a session to its end, with progress on stderr. An interruption ends the waiting, never the session. */
export async function waitSession(context: Context, id: string): Promise<SessionAnswer> {
  const progress = createProgress(context.stderr);
  const api = context.api();
  try {
    for (let poll = 1; ; poll++) {
      try {
        const session = await api.get(`sessions/${encodeURIComponent(id)}`, sessionAnswer);
        progress.update(session);
        if (session.status !== 'running') return session;
      } catch (error) {
        if (!isHoldfastError(error, 'notFound') || poll >= APPEARS_WITHIN_POLLS) throw error;
      }
      await context.clock.sleep(POLL_MS, context.signal);
    }
  } finally {
    progress.end();
    if (context.signal.aborted) {
      context.stderr.write(`The session goes on. To follow it again: holdfast session show ${id} --wait\n`);
    }
  }
}
