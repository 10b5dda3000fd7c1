/** Faults of the data plane by order of a test: each is asked for, counted, and missed when it never fired. */
import type { ByteRange } from './types.ts';

export type OperationName =
  | 'GetBlob'
  | 'GetBlobProperties'
  | 'GetPageRanges'
  | 'GetPageRangesDiff'
  | 'PutPage'
  | 'ClearPage';

/** A request that was let in, before it is answered. */
export interface DataPlaneOperation {
  name: OperationName;
  /** Disk or snapshot in the store. */
  target: string;
  lineage: string;
  /** The bytes asked for, cut to the blob. */
  window: ByteRange;
  /** Of a page list: how many ranges the window holds, counted up to `limit`. Otherwise 0. */
  countRanges(limit: number): number;
}

export type DataPlaneFault =
  /** Answer this error. */
  | { kind: 'error'; status: number; code: string; message: string; retryAfterSeconds?: number }
  /** Close the connection after so many bytes of the body. */
  | { kind: 'truncate'; afterBytes: number }
  /** Send so many bytes of the body, then nothing until `release` or until the client gives up. */
  | { kind: 'stall'; afterBytes: number; release: Promise<void> }
  /** A page list ends after so many ranges, with a NextMarker, though nobody set maxresults. */
  | { kind: 'cap'; results: number };

/** Asked once per operation. */
export interface DataPlaneFaults {
  meet(operation: DataPlaneOperation): DataPlaneFault | undefined;
}

export interface FaultRule {
  /** For messages about faults that never fired. */
  name: string;
  fault: DataPlaneFault;
  /** Which operations it is for. Default: all. */
  when?: (operation: DataPlaneOperation) => boolean;
  /** Operations of its kind that pass unharmed first. Default 0. */
  skip?: number;
  /** How often it strikes. Default 1. */
  times?: number;
}

interface Armed extends FaultRule {
  seen: number;
  fired: number;
}

/** Rules in order; the first that applies strikes. */
export class FaultScript implements DataPlaneFaults {
  readonly #armed: Armed[] = [];

  add(rule: FaultRule): void {
    this.#armed.push({ ...rule, seen: 0, fired: 0 });
  }

  /** 503 ServerBusy, as when a blob is read faster than its target. */
  serverBusy(times: number, when?: FaultRule['when']): void {
    const message = 'The server is currently unable to receive requests. Please retry your request.';
    const fault: DataPlaneFault = {
      kind: 'error',
      status: 503,
      code: 'ServerBusy',
      message,
      retryAfterSeconds: 1,
    };
    this.add({ name: 'serverBusy', fault, times, ...(when && { when }) });
  }

  /** 500 OperationTimedOut for every page list whose window holds more than `maxRanges` ranges: a fragmented blob. */
  pageListTimeout(maxRanges: number): void {
    const message = 'Operation could not be completed within the permitted time.';
    this.add({
      name: 'pageListTimeout',
      fault: { kind: 'error', status: 500, code: 'OperationTimedOut', message },
      when: (operation) => operation.countRanges(maxRanges + 1) > maxRanges,
      times: Number.POSITIVE_INFINITY,
    });
  }

  /** 403 for the whole family, as while the service merges a deleted snapshot into its neighbours. Ends when the result is called. */
  squash(lineage: string): () => void {
    const message =
      'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.';
    let over = false;
    this.add({
      name: 'squash',
      fault: { kind: 'error', status: 403, code: 'AuthenticationFailed', message },
      when: (operation) => !over && operation.lineage === lineage,
      times: Number.POSITIVE_INFINITY,
    });
    return () => {
      over = true;
    };
  }

  /** The body stops after so many bytes and goes on (or not) when the result is called. */
  stall(afterBytes: number, when?: FaultRule['when']): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.add({
      name: 'stall',
      fault: { kind: 'stall', afterBytes, release: promise },
      ...(when && { when }),
    });
    return resolve;
  }

  meet(operation: DataPlaneOperation): DataPlaneFault | undefined {
    for (const armed of this.#armed) {
      if (armed.fired >= (armed.times ?? 1) || (armed.when && !armed.when(operation))) continue;
      armed.seen += 1;
      if (armed.seen <= (armed.skip ?? 0)) continue;
      armed.fired += 1;
      return armed.fault;
    }
    return undefined;
  }

  /** Names of rules that never struck. A test with any has tested nothing. */
  unfired(): string[] {
    return this.#armed.filter(({ fired }) => fired === 0).map(({ name }) => name);
  }

  clear(): void {
    this.#armed.length = 0;
  }
}
