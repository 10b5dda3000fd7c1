/** A simulator in a temporary folder with a subscription, a group and one principal of each kind of right; SDK clients that talk to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import { AzureSimulator, type SettingsOverride, type SimulatorClock } from '../../local/azure/index.ts';

export const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';
export const GROUP = 'protected';
export const LOCATION = 'westeurope';
export const groupScope = (name = GROUP) => `/subscriptions/${SUBSCRIPTION}/resourceGroups/${name}`;

export interface RigOptions {
  clock?: SimulatorClock;
  settings?: SettingsOverride;
}

export class Rig {
  readonly folder: string;
  simulator: AzureSimulator;
  readonly options: RigOptions;
  /** Owner of the subscription. */
  owner = '';

  private constructor(folder: string, simulator: AzureSimulator, options: RigOptions) {
    this.folder = folder;
    this.simulator = simulator;
    this.options = options;
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-azure-'));
    const rig = new Rig(folder, await AzureSimulator.start({ stateFolder: folder, ...options }), options);
    rig.simulator.addSubscription({ subscriptionId: SUBSCRIPTION, displayName: 'Test' });
    rig.simulator.addResourceGroup({ subscription: SUBSCRIPTION, name: GROUP, location: LOCATION });
    rig.owner = rig.principal('owner', 'Owner', `/subscriptions/${SUBSCRIPTION}`);
    return rig;
  }

  /** Stops the simulator and starts another one on the same state. */
  async restart(): Promise<void> {
    await this.simulator.stop();
    await this.open();
  }

  /** Starts a simulator on the state, after the one before was stopped. */
  async open(): Promise<void> {
    this.simulator = await AzureSimulator.start({ stateFolder: this.folder, ...this.options });
  }

  async stop(): Promise<void> {
    await this.simulator.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A new principal with one role; answers its object id. */
  principal(name: string, role: string, scope: string): string {
    const { objectId } = this.simulator.addPrincipal({ name });
    this.simulator.assignRole({ principalId: objectId, role, scope });
    return objectId;
  }

  compute(principal = this.owner): ComputeManagementClient {
    return new ComputeManagementClient(
      this.simulator.credential(principal),
      SUBSCRIPTION,
      this.clientOptions(),
    );
  }

  network(principal = this.owner): NetworkManagementClient {
    return new NetworkManagementClient(
      this.simulator.credential(principal),
      SUBSCRIPTION,
      this.clientOptions(),
    );
  }

  resources(principal = this.owner): ResourceManagementClient {
    return new ResourceManagementClient(
      this.simulator.credential(principal),
      SUBSCRIPTION,
      this.clientOptions(),
    );
  }

  /** Raw ARM request with a valid token. */
  async arm(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; headers: Headers; body: unknown }> {
    const { fetch, Agent } = await import('undici');
    const { token } = await this.simulator.issueToken({
      principalId: this.owner,
      resource: 'https://management.azure.com',
    });
    const dispatcher = new Agent({ connect: { ca: this.simulator.tls.caPem } });
    const url = path.startsWith('https://') ? path : `${this.simulator.url}${path}`;
    const response = await fetch(url, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    await dispatcher.close();
    return {
      status: response.status,
      headers: response.headers as unknown as Headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }

  private clientOptions() {
    return { endpoint: this.simulator.url, tlsOptions: { ca: this.simulator.tls.caPem } };
  }
}

/** What an SDK call was refused with; undefined when it was not. */
export async function refused(
  call: PromiseLike<unknown>,
): Promise<{ status: number; code: string; message: string } | undefined> {
  try {
    await call;
    return undefined;
  } catch (thrown) {
    const { statusCode, code, message } = thrown as { statusCode: number; code: string; message: string };
    return { status: statusCode, code, message };
  }
}
