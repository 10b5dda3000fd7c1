/**
 * Throttling: the resource manager's buckets per subscription and principal, and the compute provider's per subscription.
 * Counters live in memory only; a restart forgives.
 */
import type { SimulatorClock } from './clock.ts';
import { ArmError } from './errors.ts';
import type { SimulatorSettings } from './settings.ts';

interface Bucket {
  tokens: number;
  at: number;
}

type ComputeGroup =
  | 'snapshotCreateHydrate'
  | 'createUpdateDisks'
  | 'lowCostGet'
  | 'getOperation'
  | 'putVirtualMachine';

const GROUP_NAMES: Record<ComputeGroup, string> = {
  snapshotCreateHydrate: 'HighCostSnapshotCreateHydrate',
  createUpdateDisks: 'CreateUpdateDisks',
  lowCostGet: 'LowCostGet',
  getOperation: 'GetOperation',
  putVirtualMachine: 'PutVM',
};

export class Limits {
  private readonly buckets = new Map<string, Bucket>();
  private readonly clock: SimulatorClock;
  private readonly settings: SimulatorSettings['limits'];

  constructor(clock: SimulatorClock, settings: SimulatorSettings['limits']) {
    this.clock = clock;
    this.settings = settings;
  }

  /** Takes one request from the caller's bucket; answers the headers that say what is left. Throws 429. */
  takeSubscription(subscription: string, principal: string, method: string): Record<string, string> {
    const kind = method === 'GET' || method === 'HEAD' ? 'reads' : method === 'DELETE' ? 'deletes' : 'writes';
    const { burst, perSecond } = this.settings[kind];
    const { left, waitSeconds } = this.take(`${subscription}/${principal}/${kind}`, burst, perSecond);
    if (waitSeconds > 0) {
      throw new ArmError(
        429,
        'SubscriptionRequestsThrottled',
        `Number of '${kind}' requests for subscription '${subscription}' actor '${principal}' exceeded. Please try again after '${waitSeconds}' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.`,
        { headers: { 'retry-after': String(waitSeconds), 'x-ms-failure-cause': 'gateway' } },
      );
    }
    return {
      [`x-ms-ratelimit-remaining-subscription-${kind}`]: String(left),
      [`x-ms-ratelimit-remaining-subscription-global-${kind}`]: String(left * 15),
    };
  }

  /** The same for the compute provider's groups of operations. */
  takeCompute(subscription: string, group: ComputeGroup): Record<string, string> {
    const remaining: string[] = [];
    for (const [minutes, size] of [
      [3, this.settings[group][0]],
      [30, this.settings[group][1]],
    ] as const) {
      const name = `${GROUP_NAMES[group]}${minutes}Min`;
      const { left, waitSeconds } = this.take(`${subscription}/${name}`, size, size / (minutes * 60));
      if (waitSeconds > 0) {
        const measured = {
          operationGroup: name,
          startTime: this.clock.now().toISOString(),
          allowedRequestCount: size,
          measuredRequestCount: size + 1,
        };
        throw new ArmError(
          429,
          'OperationNotAllowed',
          'The server rejected the request because too many requests have been received for this subscription.',
          {
            headers: { 'retry-after': String(waitSeconds) },
            details: [{ code: 'TooManyRequests', target: name, message: JSON.stringify(measured) }],
          },
        );
      }
      remaining.push(`Microsoft.Compute/${name};${left}`);
    }
    return { 'x-ms-ratelimit-remaining-resource': remaining.join(',') };
  }

  private take(key: string, size: number, perSecond: number): { left: number; waitSeconds: number } {
    const now = this.clock.now().getTime();
    const bucket = this.buckets.get(key) ?? { tokens: size, at: now };
    const tokens = Math.min(size, bucket.tokens + (Math.max(0, now - bucket.at) / 1000) * perSecond);
    if (tokens < 1) {
      this.buckets.set(key, { tokens, at: now });
      return {
        left: 0,
        waitSeconds: perSecond > 0 ? Math.max(1, Math.ceil((1 - tokens) / perSecond)) : 3600,
      };
    }
    this.buckets.set(key, { tokens: tokens - 1, at: now });
    return { left: Math.floor(tokens - 1), waitSeconds: 0 };
  }
}
