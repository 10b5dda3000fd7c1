/**
 * Records histories for replay.test.ts out of a local task hub: `npx node test/orchestrators/record.ts <hub.sqlite>`. Run it
 * when an orchestrator changes its order on purpose, beside the version check that keeps the old order for old instances.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const [, , hub] = process.argv;
if (!hub) throw new Error('Which task hub? npx node test/orchestrators/record.ts <hub.sqlite>');
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
    ({ event }) => JSON.parse(event) as unknown,
  );
  if (history.length > (longest.get(name)?.length ?? 0)) longest.set(name, history);
}
const folder = new URL('histories/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [name, history] of longest)
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(history, null, 1)}\n`);
console.log([...longest].map(([name, history]) => `${name}: ${history.length} events`).join('\n'));
