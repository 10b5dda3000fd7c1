/**
 * Records histories for replay.test.ts out of a local task hub: `npx node test/orchestrators/record.ts <hub.sqlite>` keeps the
 * longest of each orchestrator; with `<session>` that session's alone, and with a `<branch>` behind it under the name
 * `<orchestrator>-<branch>`: one for each branch that an activity's answer opens. Run it when an orchestrator changes its order on purpose, beside the version
 * check that keeps the old order for old instances, or when it grows a branch.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const STARTED = 0;

const [, , hub, session, branch] = process.argv;
if (!hub)
  throw new Error(
    'Which task hub? npx node test/orchestrators/record.ts <hub.sqlite> [<session> [<branch>]]',
  );
const database = new DatabaseSync(hub, { readOnly: true });
const instances = database
  .prepare("select instanceId, executionId, name from instances where status = 'Completed'")
  .all() as unknown as { instanceId: string; executionId: string; name: string }[];
const events = database.prepare(
  'select event from history where instanceId = ? and executionId = ? order by n',
);
const longest = new Map<string, unknown[]>();
for (const { instanceId, executionId, name } of instances) {
  const history = (events.all(instanceId, executionId) as { event: string }[]).map(
    ({ event }) => JSON.parse(event) as { EventType: number; Input?: string },
  );
  if (session && session !== sessionIn(history)) continue;
  const file = branch ? `${name}-${branch}` : name;
  if (history.length > (longest.get(file)?.length ?? 0)) longest.set(file, history);
}
const folder = new URL('histories/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [name, history] of longest)
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(history, null, 1)}\n`);
console.log([...longest].map(([name, history]) => `${name}: ${history.length} events`).join('\n'));

/** The session that an orchestrator was started with. */
function sessionIn(history: readonly { EventType: number; Input?: string }[]): unknown {
  const input = history.find(({ EventType }) => EventType === STARTED)?.Input;
  return (JSON.parse(input ?? 'null') as { sessionId?: unknown } | null)?.sessionId;
}
