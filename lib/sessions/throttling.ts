import { randomUUID } from 'node:crypto';
import { metered, type ThrottleMeter } from '../azure/index.ts';
import type { Installation } from '../installation/index.ts';
import { noteThrottling } from '../model/index.ts';

/** This process, among those that work for a session. */
const SOURCE = `app-${randomUUID().slice(0, 8)}`;
/** Sessions that a process counts for; the one that was not heard of for longest goes. */
const MAX_METERS = 500;
/** Absolute counts, so that telling them twice changes nothing. */
const meters = new Map<string, ThrottleMeter>();

/** Does a step of a session, and notes in it what services refused meanwhile. Noting fails nothing. */
export async function withThrottling<T>(
  installation: Installation,
  sessionId: string,
  act: () => Promise<T>,
): Promise<T> {
  const meter = meterOf(sessionId);
  const before = meter.calls;
  try {
    return await metered(meter, act);
  } finally {
    if (meter.calls > before) await tell(installation, sessionId, meter);
  }
}

function meterOf(sessionId: string): ThrottleMeter {
  const meter = meters.get(sessionId) ?? { calls: 0, seconds: 0 };
  meters.delete(sessionId);
  meters.set(sessionId, meter);
  const [oldest] = meters.keys();
  if (meters.size > MAX_METERS && oldest !== undefined) meters.delete(oldest);
  return meter;
}

async function tell(
  { catalog }: Installation,
  sessionId: string,
  { calls, seconds }: ThrottleMeter,
): Promise<void> {
  try {
    await catalog.sessions.update(sessionId, (session) => {
      const throttling = noteThrottling(session.throttling, { source: SOURCE, calls, seconds });
      return throttling === session.throttling ? session : { ...session, throttling: [...throttling] };
    });
  } catch {
    // It is for charts: the step is what counts.
  }
}
