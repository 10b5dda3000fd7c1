/**
 * The admin API: the simulator's own methods over plain HTTP on loopback, for other local processes. `POST /_admin/<method>` with one JSON
 * object as argument and the header `x-holdfast-admin-key`; the answer is `{"result": …}` or `{"error": {"message"}}`.
 * Bytes are base64 in `data`. It is no part of what Azure answers.
 */
import { timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type Exchange, type Reply, serve, type Watch } from './http.ts';

/** Methods of AzureSimulator that other processes may call. */
export const ADMIN_METHODS = [
  'activeGrants',
  'addAudience',
  'addDisk',
  'addKeyVault',
  'addManagementGroup',
  'addPrincipal',
  'addResourceGroup',
  'addShortage',
  'addStorageAccount',
  'addSubscription',
  'addUserAssignedIdentity',
  'addVirtualMachine',
  'advanceClock',
  'assignRole',
  'clearDisk',
  'clearFaults',
  'defineRole',
  'describeDisk',
  'endpoints',
  'growPageBlob',
  'guestScripts',
  'injectFault',
  'issueToken',
  'listFaults',
  'lockScope',
  'metadataUrl',
  'pageBlobSnapshots',
  'readDisk',
  'registerApp',
  'releaseFault',
  'removeShortage',
  'replacePageBlob',
  'requests',
  'runningGuests',
  'scheduleEvent',
  'setCoreQuota',
  'setGuestAgent',
  'unassignRole',
  'unlockScope',
  'writeDisk',
] as const;

export type AdminMethod = (typeof ADMIN_METHODS)[number];

/** What is driven: AzureSimulator, seen from below so that the two files do not need each other. */
export type AdminTarget = { readonly adminKey: string } & Record<AdminMethod, (argument: never) => unknown>;

export async function startAdmin(watch: Watch, simulator: AdminTarget, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    serve(watch, 'admin', request, response, (exchange) => answer(simulator, exchange)).catch(
      (error: unknown) => {
        console.error(error);
        response.destroy();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

async function answer(simulator: AdminTarget, exchange: Exchange): Promise<Reply> {
  const given = Buffer.from(String(exchange.headers['x-holdfast-admin-key'] ?? ''));
  const key = Buffer.from(simulator.adminKey);
  if (given.length !== key.length || !timingSafeEqual(given, key))
    return refusal(401, 'The admin key is missing or wrong.');
  const name = /^\/_admin\/([A-Za-z]+)$/.exec(exchange.url.pathname)?.[1];
  const method = ADMIN_METHODS.find((known) => known === name);
  if (method === undefined || exchange.method !== 'POST')
    return refusal(
      404,
      `No admin method is '${exchange.method} ${exchange.url.pathname}'. Known: ${ADMIN_METHODS.join(', ')}.`,
    );
  const args = (await exchange.readJson()) as Record<string, unknown> | undefined;
  try {
    const call = simulator[method] as (argument: unknown) => unknown;
    const result = await call.call(simulator, withBytes(args ?? {}));
    return {
      status: 200,
      body: { result: Buffer.isBuffer(result) ? { data: result.toString('base64') } : (result ?? null) },
    };
  } catch (error) {
    return refusal(400, error instanceof Error ? error.message : String(error));
  }
}

const withBytes = (args: Record<string, unknown>) =>
  typeof args.data === 'string' ? { ...args, data: Buffer.from(args.data, 'base64') } : args;

const refusal = (status: number, message: string): Reply => ({ status, body: { error: { message } } });
