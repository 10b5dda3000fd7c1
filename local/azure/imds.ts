/** The metadata service of a machine: one plain-HTTP loopback port each, opened when first asked for. */
import { createServer, type Server } from 'node:http';
import type { MachineRecord, MachineRecords } from './arm/machineRecords.ts';
import { type Exchange, type Reply, serve, type Watch } from './http.ts';
import { tokenReply } from './identity.ts';
import { portOf } from './server.ts';
import type { Tokens } from './tokens.ts';

export interface ScheduledEvent {
  EventId: string;
  EventType: 'Freeze' | 'Reboot' | 'Redeploy' | 'Preempt' | 'Terminate';
  ResourceType: 'VirtualMachine';
  Resources: string[];
  EventStatus: 'Scheduled' | 'Started';
  NotBefore: string;
  Description: string;
  EventSource: 'Platform' | 'User';
  DurationInSeconds: number;
}

export class MetadataServices {
  private readonly servers = new Map<string, Promise<Server>>();
  private readonly events = new Map<string, ScheduledEvent[]>();
  private readonly watch: Watch;
  private readonly machines: MachineRecords;
  private readonly tokens: Tokens;

  constructor(watch: Watch, machines: MachineRecords, tokens: Tokens) {
    this.watch = watch;
    this.machines = machines;
    this.tokens = tokens;
  }

  /** `http://127.0.0.1:port` of the machine's service: its AZURE_POD_IDENTITY_AUTHORITY_HOST. */
  async url(machineId: string): Promise<string> {
    const key = machineId.toLowerCase();
    let server = this.servers.get(key);
    if (!server) {
      server = this.listen(machineId);
      this.servers.set(key, server);
    }
    return `http://127.0.0.1:${portOf(await server)}`;
  }

  /** What the machine is told at its next look at /metadata/scheduledevents. */
  schedule(machineId: string, event: ScheduledEvent): void {
    const key = machineId.toLowerCase();
    this.events.set(key, [...(this.events.get(key) ?? []), event]);
  }

  async close(machineId?: string): Promise<void> {
    for (const [key, server] of this.servers) {
      if (machineId !== undefined && key !== machineId.toLowerCase()) continue;
      this.servers.delete(key);
      const open = await server;
      open.closeAllConnections();
      await new Promise((resolve) => {
        open.close(resolve);
      });
    }
  }

  private async listen(machineId: string): Promise<Server> {
    const server = createServer((request, response) => {
      serve(this.watch, 'imds', request, response, (exchange) => this.answer(machineId, exchange), {
        virtualMachine: machineId,
      }).catch((error: unknown) => {
        console.error(error);
        response.destroy();
      });
    });
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return server;
  }

  private async answer(machineId: string, exchange: Exchange): Promise<Reply> {
    const machine = this.machines.get(machineId);
    if (!machine) return { status: 404, body: { error: 'Not found' } };
    if (
      exchange.headers.metadata?.toString().toLowerCase() !== 'true' ||
      exchange.headers['x-forwarded-for'] !== undefined
    ) {
      return {
        status: 400,
        body: { error: 'invalid_request', error_description: 'Required metadata header not specified' },
      };
    }
    const { searchParams } = exchange.url;
    // The identity SDK ends the path with a slash.
    const pathname = exchange.url.pathname.replace(/\/+$/, '');
    if (!searchParams.get('api-version'))
      return { status: 400, body: { error: 'Bad request. api-version was not specified in the request.' } };
    if (pathname === '/metadata/identity/oauth2/token') return this.token(machine, exchange);
    if (pathname === '/metadata/scheduledevents') {
      const events = this.events.get(machineId.toLowerCase()) ?? [];
      return { status: 200, body: { DocumentIncarnation: events.length + 1, Events: events } };
    }
    const match = /^\/metadata\/instance(?:\/(.*))?$/.exec(pathname);
    if (!match) return { status: 404, body: { error: 'Not found' } };
    return instance(
      machine,
      (match[1] ?? '').split('/').filter(Boolean),
      searchParams.get('format') === 'text',
    );
  }

  private token(machine: MachineRecord, exchange: Exchange): Promise<Reply> | Reply {
    const query = exchange.url.searchParams;
    const asked =
      query.get('client_id') ?? query.get('object_id') ?? query.get('msi_res_id') ?? query.get('mi_res_id');
    const { principalId, userAssigned = {} } = machine.identity ?? {};
    const users = Object.entries(userAssigned);
    const named = users.find(([id, user]) =>
      [id, user.clientId, user.principalId].some((known) => known.toLowerCase() === asked?.toLowerCase()),
    )?.[1].principalId;
    const chosen =
      asked === null ? (principalId ?? (users.length === 1 ? users[0]?.[1].principalId : undefined)) : named;
    if (chosen === undefined)
      return { status: 400, body: { error: 'invalid_request', error_description: 'Identity not found' } };
    exchange.noted.principal = chosen;
    return tokenReply(this.tokens, chosen, query.get('resource'), (issued, clientId) => ({
      access_token: issued.token,
      client_id: clientId,
      expires_in: String(issued.expiresOn - Math.floor(Date.now() / 1000)),
      expires_on: String(issued.expiresOn),
      ext_expires_in: String(issued.expiresOn - Math.floor(Date.now() / 1000)),
      not_before: String(issued.notBefore),
      resource: issued.resource,
      token_type: 'Bearer',
    }));
  }
}

function instance(machine: MachineRecord, path: string[], asText: boolean): Reply {
  const tags = Object.entries(machine.tags);
  let value: unknown = {
    compute: {
      azEnvironment: 'AzurePublicCloud',
      location: machine.location,
      name: machine.name,
      osType: machine.osDisk.osType,
      priority: machine.echoed.priority ?? '',
      provider: 'Microsoft.Compute',
      resourceGroupName: machine.group,
      resourceId: machine.id,
      subscriptionId: machine.subscription,
      tags: tags.map(([name, tag]) => `${name}:${tag}`).join(';'),
      tagsList: tags.map(([name, tag]) => ({ name, value: tag })),
      userData: machine.userData ?? '',
      vmId: machine.vmId,
      vmSize: machine.size,
      zone: machine.zones?.[0] ?? '',
    },
    network: { interface: [] },
  };
  for (const segment of path) {
    value = (value as Record<string, unknown> | undefined)?.[segment];
    if (value === undefined || value === null) return { status: 404, body: { error: 'Not found' } };
  }
  if (asText && typeof value === 'string')
    return { status: 200, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body: value };
  return { status: 200, body: value };
}
