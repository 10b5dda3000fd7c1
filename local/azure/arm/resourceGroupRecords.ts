/** Resource groups as the resource manager knows them. */
import type { Collection, StateStore } from '../state.ts';
import { groupId } from './ids.ts';
import type { Tags } from './tags.ts';

export interface ResourceGroupRecord {
  id: string;
  subscription: string;
  name: string;
  location: string;
  tags: Tags;
  provisioningState: 'Succeeded' | 'Deleting';
}

export class ResourceGroups {
  private readonly records: Collection<ResourceGroupRecord>;

  constructor(state: StateStore) {
    this.records = state.collection('resourceGroups');
  }

  get(subscription: string, name: string): ResourceGroupRecord | undefined {
    return this.records.get(groupId(subscription, name));
  }

  list(subscription: string): ResourceGroupRecord[] {
    return this.records.filter((group) => group.subscription.toLowerCase() === subscription.toLowerCase());
  }

  put(subscription: string, name: string, location: string, tags: Tags = {}): ResourceGroupRecord {
    const id = groupId(subscription, name);
    const known = this.records.get(id);
    return this.records.set(id, {
      id,
      subscription,
      name,
      location,
      ...known,
      tags,
      provisioningState: 'Succeeded',
    });
  }

  save(record: ResourceGroupRecord): void {
    this.records.set(record.id, record);
  }

  delete(id: string): void {
    this.records.delete(id);
  }

  find(id: string): ResourceGroupRecord | undefined {
    return this.records.get(id);
  }
}
