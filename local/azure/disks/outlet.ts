/** The way out of an answer's body: waits for a slow reader, counts bytes, and breaks where a fault says. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { DataPlaneFault } from './faults.ts';

/** The connection is gone, by the client or by a fault: stop answering. */
export class OutletClosed extends Error {
  override name = 'OutletClosed';
}

export class Outlet {
  readonly #response: ServerResponse;
  readonly #fault: DataPlaneFault | undefined;
  readonly #over: (sent: number) => void;
  /** The last part goes out together with the end, so that nobody has the whole body before `over` was called. */
  #held: Buffer = Buffer.alloc(0);
  #stalled = false;
  #sent = 0;

  /** `over` hears the bytes sent, before the client can see that the body is complete or broken off. May be called again. */
  constructor(response: ServerResponse, fault: DataPlaneFault | undefined, over: (sent: number) => void) {
    this.#response = response;
    this.#fault = fault;
    this.#over = over;
  }

  /** Resolves when the next part may be written. Rejects with OutletClosed when there is nobody to write to. */
  async write(bytes: Buffer): Promise<void> {
    await this.#flush();
    this.#held = bytes;
  }

  async end(): Promise<void> {
    if (this.#fault) await this.#flush();
    if (this.#fault?.kind === 'truncate') return this.#breakOff();
    if (this.#response.destroyed) throw this.#closed();
    this.#sent += this.#held.length;
    this.#over(this.#sent);
    await new Promise<void>((resolve) => {
      this.#response.once('close', resolve);
      this.#response.end(this.#held, () => resolve());
    });
  }

  async #flush(): Promise<void> {
    const bytes = this.#held;
    this.#held = Buffer.alloc(0);
    const fault = this.#fault;
    const breaks =
      (fault?.kind === 'truncate' || fault?.kind === 'stall') && this.#sent + bytes.length > fault.afterBytes;
    if (!breaks || this.#stalled) return this.#put(bytes);
    const before = fault.afterBytes - this.#sent;
    await this.#put(bytes.subarray(0, before));
    if (fault.kind === 'truncate') return this.#breakOff();
    this.#stalled = true;
    // Headers alone would still sit in the response's own buffer.
    this.#response.flushHeaders();
    await this.#wait(fault.release);
    return this.#put(bytes.subarray(before));
  }

  async #put(bytes: Buffer): Promise<void> {
    if (this.#response.destroyed) throw this.#closed();
    if (bytes.length === 0) return;
    this.#sent += bytes.length;
    if (!this.#response.write(bytes)) await this.#wait(once(this.#response, 'drain'));
  }

  /** Ends without the rest: what was written reaches the client first. */
  async #breakOff(): Promise<never> {
    const closed = this.#closed();
    await new Promise<void>((resolve) => {
      this.#response.once('close', resolve);
      this.#response.flushHeaders();
      this.#response.socket?.destroySoon();
    });
    throw closed;
  }

  async #wait(what: Promise<unknown>): Promise<void> {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    this.#response.once('close', resolve);
    await Promise.race([what.catch(() => undefined), gone]);
    this.#response.off('close', resolve);
    if (this.#response.destroyed) throw this.#closed();
  }

  #closed(): OutletClosed {
    this.#over(this.#sent);
    return new OutletClosed();
  }
}
