/**
 * Faults by order: a request that matches is answered badly, late or not at all, or its long-running operation ends badly.
 *
 * Faults are seen by ARM, Entra, Key Vault and the disk data plane, before authentication. A fault that was never met is a test that tested
 * nothing: `unfired` names them.
 */
import { randomUUID } from 'node:crypto';

export interface FaultMatch {
  /** Any method when absent. */
  method?: string;
  /** Tried against path and query, ignoring case. */
  path: string;
}

export type FaultEffect =
  /** Answer this instead of asking the service. `code` and `message` make an ARM error body when `body` is absent. */
  | {
      kind: 'respond';
      status: number;
      code?: string;
      message?: string;
      body?: unknown;
      headers?: Record<string, string>;
    }
  /** Close the connection: `before` the service did anything, or `after` it did everything and only the answer is lost. */
  | { kind: 'drop'; when: 'before' | 'after' }
  /** Wait for `release`: `before` the service is asked, or `after` it, holding the answer. */
  | { kind: 'hold'; when: 'before' | 'after' }
  /** The operation that the request starts ends so. */
  | { kind: 'operation'; status: 'Failed' | 'Canceled'; code: string; message: string }
  /** The operation that the request starts takes this many polls, and this long. */
  | { kind: 'slow'; polls?: number; delayMs?: number };

export interface FaultOrder {
  match: FaultMatch;
  effect: FaultEffect;
  /** Requests that match and pass unharmed first. Default 0. */
  skip?: number;
  /** Requests harmed after that. Default 1. */
  times?: number;
}

export interface Fault extends FaultOrder {
  id: string;
  /** Requests that matched, harmed or not. */
  seen: number;
  /** Requests harmed. */
  fired: number;
}

interface Armed {
  fault: Fault;
  pattern: RegExp;
  gate: { promise: Promise<void>; open: () => void };
  fires: (() => void)[];
}

function gate(): Armed['gate'] {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: () => resolve() };
}

export class Faults {
  private readonly armed = new Map<string, Armed>();

  /** Returns the fault's id. */
  inject(order: FaultOrder): string {
    const id = randomUUID();
    const fault = { ...order, id, seen: 0, fired: 0 };
    this.armed.set(id, { fault, pattern: new RegExp(order.match.path, 'i'), gate: gate(), fires: [] });
    return id;
  }

  /** The fault that this request meets, counted as fired. The first injected wins. */
  meet(method: string, path: string): Fault | undefined {
    for (const armed of this.armed.values()) {
      const { fault, pattern } = armed;
      const right =
        fault.match.method === undefined || fault.match.method.toUpperCase() === method.toUpperCase();
      if (!right || !pattern.test(path)) continue;
      fault.seen += 1;
      const skip = fault.skip ?? 0;
      if (fault.seen <= skip || fault.fired >= (fault.times ?? 1)) continue;
      fault.fired += 1;
      for (const wake of armed.fires.splice(0)) wake();
      return fault;
    }
    return undefined;
  }

  /** Lets all held requests of this fault go on, now and later. */
  release(id: string): void {
    this.find(id).gate.open();
  }

  /** Resolves when a request meets the fault (at once when one already has). */
  async met(id: string): Promise<void> {
    const armed = this.find(id);
    if (armed.fault.fired > 0) return;
    await new Promise<void>((resolve) => {
      armed.fires.push(resolve);
    });
  }

  held(id: string): Promise<void> {
    return this.find(id).gate.promise;
  }

  get(id: string): Fault {
    return this.find(id).fault;
  }

  list(): Fault[] {
    return [...this.armed.values()].map((armed) => armed.fault);
  }

  /** Faults that have not yet harmed as many requests as ordered. */
  unfired(): Fault[] {
    return this.list().filter((fault) => fault.fired < (fault.times ?? 1));
  }

  /** Removes one fault, or all, and lets held requests go. */
  clear(id?: string): void {
    for (const [key, armed] of this.armed) {
      if (id !== undefined && key !== id) continue;
      armed.gate.open();
      this.armed.delete(key);
    }
  }

  private find(id: string): Armed {
    const armed = this.armed.get(id);
    if (!armed) throw new Error(`No fault ${id} is injected.`);
    return armed;
  }
}
