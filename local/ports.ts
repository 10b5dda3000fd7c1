import { createServer } from 'node:net';
import { z } from 'zod';
import type { StateFolder } from './stateFolder.ts';

export const PORT_NAMES = [
  'host',
  'hostHttps',
  'simulator',
  'identity',
  'admin',
  'blob',
  'queue',
  'table',
] as const;
export type Ports = Readonly<Record<(typeof PORT_NAMES)[number], number>>;

const portsSchema = z.partialRecord(z.enum(PORT_NAMES), z.number().int().min(1).max(65_535));

/**
 * A loopback port for each server: those of the last run where they are still free, so that URLs stay what they were, and
 * otherwise free ones. Remembered in `ports.json`. `moved` names those that had to change.
 */
export async function choosePorts(state: StateFolder): Promise<{ ports: Ports; moved: string[] }> {
  const remembered = portsSchema.safeParse(state.read('ports.json'));
  const before = remembered.success ? remembered.data : {};
  const moved: string[] = [];
  const taken: { port: number; release: () => Promise<void> }[] = [];
  const chosen: Partial<Record<(typeof PORT_NAMES)[number], number>> = {};
  try {
    for (const name of PORT_NAMES) {
      const wanted = before[name];
      const kept = wanted === undefined ? undefined : await tryPort(wanted);
      if (wanted !== undefined && !kept) moved.push(name);
      const held = kept ?? (await tryPort(0));
      if (!held) throw new Error('No free port on 127.0.0.1.');
      taken.push(held);
      chosen[name] = held.port;
    }
  } finally {
    await Promise.all(taken.map(({ release }) => release()));
  }
  state.write('ports.json', chosen);
  return { ports: chosen as Ports, moved };
}

/** Holds a port for a moment; undefined when somebody else has it. */
function tryPort(port: number): Promise<{ port: number; release: () => Promise<void> } | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address ? address.port : port,
        release: () => new Promise((released) => server.close(() => released())),
      });
    });
  });
}
