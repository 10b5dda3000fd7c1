/** Management locks: what a scope refuses, to everybody. Set by tests; ARM's own API for them is not answered. */
import { ArmError } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';

export interface ManagementLock {
  /** Id of a resource, a group or a subscription; it covers what lies below. */
  scope: string;
  /** `ReadOnly` refuses every change, `CanNotDelete` deletions. */
  level: 'CanNotDelete' | 'ReadOnly';
}

export class Locks {
  private readonly locks: Collection<ManagementLock>;

  constructor(state: StateStore) {
    this.locks = state.collection('locks');
  }

  set(lock: ManagementLock): void {
    this.locks.set(lock.scope, lock);
  }

  remove(scope: string): void {
    this.locks.delete(scope);
  }

  /** Throws 409 ScopeLocked when a lock forbids the request. */
  check(method: string, path: string): void {
    if (method === 'GET' || method === 'HEAD') return;
    const target = path.toLowerCase().replace(/\/+$/, '');
    const lock = this.locks
      .values()
      .find(({ scope, level }) => covers(scope, target) && (method === 'DELETE' || level === 'ReadOnly'));
    if (!lock) return;
    const verb = method === 'DELETE' ? 'delete' : 'write';
    throw new ArmError(
      409,
      'ScopeLocked',
      `The scope '${path}' cannot perform ${verb} operation because following scope(s) are locked: '${lock.scope}'. Please remove the lock and try again.`,
    );
  }
}

function covers(scope: string, target: string): boolean {
  const outer = scope.toLowerCase().replace(/\/+$/, '');
  return target === outer || target.startsWith(`${outer}/`);
}
