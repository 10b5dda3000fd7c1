import { ComputeManagementClient, type ComputeManagementClientOptionalParams } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import type { TokenCredential } from '@azure/core-auth';
import {
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineRequest,
  type HttpClient,
  type Pipeline,
  type PipelineResponse,
} from '@azure/core-rest-pipeline';
import { type Clock, HoldfastError, systemClock } from '../model/index.ts';
import { type Cloud, cloudAt } from './clouds.ts';
import { boundedCalls, shortWaits } from './policies.ts';

export interface AzureSettings {
  /** `https://management.azure.com`, or the endpoint of another cloud or of a local run. */
  readonly armEndpoint: string;
  /** The subscription of Holdfast's own resources (workers); machines bring theirs in their ids. */
  readonly subscriptionId: string;
}

export interface ConnectionOptions {
  readonly credential: TokenCredential;
  readonly clock?: Clock;
  /** One call, retries included. Default 40 s: an activity has 60. */
  readonly timeoutMs?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What every SDK call gets: `client.snapshots.get(group, name, call)`. */
export interface SdkCall {
  readonly abortSignal?: AbortSignal;
}

type ClientOptions = ComputeManagementClientOptionalParams;

const TIMEOUT_MS = 40_000;

/**
 * The clients of ARM for one identity, made once per subscription. Every call through them ends within `timeoutMs`, is retried at most
 * three times, never sleeps on a long Retry-After, and throws `HoldfastError` only (or the caller's own abort).
 */
export class AzureConnection {
  readonly settings: AzureSettings;
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly credential: TokenCredential;
  readonly #timeoutMs: number;
  readonly #http: HttpClient = createDefaultHttpClient();
  readonly #compute = new Map<string, ComputeManagementClient>();
  readonly #network = new Map<string, NetworkManagementClient>();

  constructor(settings: AzureSettings, options: ConnectionOptions) {
    this.settings = settings;
    this.cloud = cloudAt(settings.armEndpoint);
    this.credential = options.credential;
    this.clock = options.clock ?? systemClock;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  compute(subscriptionId = this.settings.subscriptionId): ComputeManagementClient {
    return memo(this.#compute, subscriptionId, () => this.#client(ComputeManagementClient, subscriptionId));
  }

  network(subscriptionId = this.settings.subscriptionId): NetworkManagementClient {
    return memo(this.#network, subscriptionId, () => this.#client(NetworkManagementClient, subscriptionId));
  }

  /** The options of an SDK call. The time limit is the pipeline's, so that a listing has it for each page. */
  call(options?: CallOptions): SdkCall {
    return options?.signal ? { abortSignal: options.signal } : {};
  }

  /**
   * GET of a full URL through the SDK's own pipeline (token, retries, errors). The URL must be one of this cloud's ARM: an operation
   * URL comes back from storage, and the token goes wherever it points.
   */
  async get(url: string, options?: CallOptions): Promise<PipelineResponse> {
    const { origin, pathname } = new URL(url);
    if (origin !== this.cloud.armEndpoint) {
      throw new HoldfastError(
        'invalidInput',
        `${origin} is not the ARM endpoint (${this.cloud.armEndpoint}); nothing was sent to it.`,
        { target: pathname },
      );
    }
    const request = createPipelineRequest({
      url,
      method: 'GET',
      headers: createHttpHeaders({ accept: 'application/json' }),
      ...this.call(options),
    });
    return this.compute().pipeline.sendRequest(this.#http, request);
  }

  #client<T extends { readonly pipeline: Pipeline }>(
    Client: new (credential: TokenCredential, subscriptionId: string, options: ClientOptions) => T,
    subscriptionId: string,
  ): T {
    const client = new Client(this.credential, subscriptionId, {
      endpoint: this.cloud.armEndpoint,
      credentials: { scopes: [this.cloud.armScope] },
      retryOptions: { maxRetries: 3, maxRetryDelayInMs: 8_000 },
      additionalPolicies: [{ policy: shortWaits(), position: 'perRetry' }],
    });
    // Outermost: the wait for a token is part of the call, and its failure is one of the call's.
    client.pipeline.addPolicy(boundedCalls(this.#timeoutMs), {
      beforePolicies: client.pipeline.getOrderedPolicies().map(({ name }) => name),
    });
    return client;
  }
}

function memo<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
