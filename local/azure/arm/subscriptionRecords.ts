/** Subscriptions: seeded by the admin API. */
import { ArmError } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';

export interface SubscriptionRecord {
  subscriptionId: string;
  displayName: string;
  tenantId: string;
  /** Regions in which its resources may be. */
  locations: string[];
}

export class Subscriptions {
  private readonly records: Collection<SubscriptionRecord>;

  constructor(state: StateStore) {
    this.records = state.collection('subscriptions');
  }

  add(record: SubscriptionRecord): SubscriptionRecord {
    return this.records.get(record.subscriptionId) ?? this.records.set(record.subscriptionId, record);
  }

  require(id: string): SubscriptionRecord {
    const record = this.records.get(id);
    if (record) return record;
    throw new ArmError(404, 'SubscriptionNotFound', `The subscription '${id}' could not be found.`, {
      headers: { 'x-ms-failure-cause': 'gateway' },
    });
  }

  /** Throws 400 when the region is not one of the subscription's; answers its normal form (lower case, no blanks). */
  requireLocation(subscription: string, location: string): string {
    const normal = location.toLowerCase().replaceAll(' ', '');
    const { locations } = this.require(subscription);
    if (locations.includes(normal)) return normal;
    throw new ArmError(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${location}' is not available for resource type. List of available regions for the resource type is '${locations.join(',')}'.`,
    );
  }

  values(): SubscriptionRecord[] {
    return this.records.values();
  }
}
