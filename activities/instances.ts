import { type DurableClient, OrchestrationRuntimeStatus } from 'durable-functions';
import type { Instances } from '../lib/sessions/index.ts';

const RUNNING: ReadonlySet<OrchestrationRuntimeStatus> = new Set([
  OrchestrationRuntimeStatus.Running,
  OrchestrationRuntimeStatus.Pending,
  OrchestrationRuntimeStatus.Suspended,
  OrchestrationRuntimeStatus.ContinuedAsNew,
]);

/** The `Instances` port over the durable client that a function or activity was given. */
export function durableInstances(client: DurableClient): Instances {
  const state: Instances['state'] = async (instanceId) => {
    let runtimeStatus: OrchestrationRuntimeStatus | undefined;
    try {
      // The host answers nothing, or 404, for an instance that it does not know.
      const status = (await client.getStatus(instanceId)) as
        | { runtimeStatus?: OrchestrationRuntimeStatus }
        | undefined;
      runtimeStatus = status?.runtimeStatus;
    } catch (error) {
      if (!/404|not found/i.test(String(error))) throw error;
    }
    if (runtimeStatus === undefined) return 'missing';
    return RUNNING.has(runtimeStatus) ? 'running' : 'ended';
  };
  return {
    state,
    async start(orchestrator, instanceId, input) {
      try {
        await client.startNew(orchestrator, { instanceId, input });
      } catch (error) {
        // The number that says "runs already" differs between hosts, so ask what is.
        if ((await state(instanceId)) !== 'running') throw error;
      }
    },
  };
}
