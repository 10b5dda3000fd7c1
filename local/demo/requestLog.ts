import type { AdminClient, LoggedRequest } from '../azure/index.ts';

/**
 * Worker VMs by the requests that the simulator answered: those that were created in the worker group, and those that were
 * not deallocated or deleted after their last start. `requests` in the order of their answers.
 */
export function workersOf(
  requests: readonly Pick<LoggedRequest, 'method' | 'path' | 'status'>[],
  group: string,
): { used: string[]; running: string[] } {
  const running = new Map<string, boolean>();
  for (const { method, path, status } of requests) {
    const [, inGroup, name, verb] =
      /\/resourceGroups\/([^/]+)\/providers\/Microsoft\.Compute\/virtualMachines\/([^/?]+)(?:\/(\w+))?(?:\?|$)/i.exec(
        path,
      ) ?? [];
    if (inGroup?.toLowerCase() !== group.toLowerCase() || name === undefined || status >= 300 || status === 0)
      continue;
    if ((method === 'PUT' && verb === undefined) || verb === 'start') running.set(name, true);
    if ((method === 'DELETE' && verb === undefined) || verb === 'deallocate') running.set(name, false);
  }
  return {
    used: [...running.keys()],
    running: [...running].flatMap(([name, isRunning]) => (isRunning ? [name] : [])),
  };
}

export async function readWorkers(
  admin: AdminClient,
  group: string,
): Promise<{ used: string[]; running: string[] }> {
  const requests = await admin.call('requests', { surface: 'arm', path: '/virtualMachines/' });
  const guests = await admin.call('runningGuests');
  const { used, running } = workersOf(requests, group);
  // A process that goes on after its machine is switched off counts as running.
  return { used, running: [...new Set([...running, ...guests.map(({ machineId }) => machineId)])] };
}
