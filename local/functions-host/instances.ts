import { randomUUID } from 'node:crypto';
import { newEvent, type ParentInstance } from './history.ts';
import type { Store } from './store.ts';

/**
 * What the real host says about an instance id, in words; undefined when the id is fine: not starting with '@'
 * (entities), at most 100 characters, none of `/ \ # ?` and no control characters.
 */
export function instanceIdProblem(id: string): string | undefined {
  if (id.trim() === '') return 'an instance id must not be empty';
  if (id.startsWith('@')) return `the instance id '${id}' starts with '@', which is for entities`;
  if (id.length > 100) return `the instance id '${id.slice(0, 100)}...' is longer than 100 characters`;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[/\\#?\u0000-\u001f\u007f-\u009f]/.test(id)) {
    return `the instance id ${JSON.stringify(id)} has one of / \\ # ? or a control character`;
  }
  return undefined;
}

export interface NewInstance {
  instanceId: string;
  name: string;
  input: string;
  version: string | undefined;
  parent: ParentInstance | undefined;
  traceParent: string | null | undefined;
}

/** Writes a Pending instance and the message that starts it; what had its id before is cleared. */
export function createInstance(store: Store, at: Date, instance: NewInstance): void {
  const { instanceId, name, input, version, parent } = instance;
  const executionId = randomUUID().replaceAll('-', '');
  store.clear(instanceId);
  store.putInstance({
    instanceId,
    executionId,
    name,
    input,
    version: version ?? null,
    status: 'Pending',
    output: null,
    customStatus: null,
    createdAt: at.getTime(),
    updatedAt: at.getTime(),
    parent: parent ? JSON.stringify(parent) : null,
    traceParent: instance.traceParent ?? null,
  });
  const started = newEvent('ExecutionStarted', at, {
    Name: name,
    Input: input,
    Version: version,
    ParentInstance: parent,
    OrchestrationInstance: { InstanceId: instanceId, ExecutionId: executionId },
  });
  store.send(instanceId, executionId, started, at.getTime());
}
