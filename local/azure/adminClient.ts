/** The admin API from another process: the simulator's methods with the same arguments and results. */
import type { AdminMethod } from './admin.ts';
import type { AzureSimulator } from './simulator.ts';

type Argument<M extends AdminMethod> = Parameters<AzureSimulator[M]>[0];
type Result<M extends AdminMethod> = Awaited<ReturnType<AzureSimulator[M]>>;

export class AdminClient {
  private readonly url: string;
  private readonly key: string;

  constructor(endpoints: { adminUrl: string; adminKey: string }) {
    this.url = endpoints.adminUrl;
    this.key = endpoints.adminKey;
  }

  /** Calls a method. Rejects with the simulator's message when it refuses, with a network error when it is not there. */
  async call<M extends AdminMethod>(
    method: M,
    ...args: Argument<M> extends undefined ? [] : [argument?: Argument<M>]
  ): Promise<Result<M>> {
    const [argument = {}] = args;
    const { data } = argument as { data?: unknown };
    const body =
      data instanceof Uint8Array ? { ...argument, data: Buffer.from(data).toString('base64') } : argument;
    const response = await fetch(`${this.url}/_admin/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-holdfast-admin-key': this.key },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { result?: unknown; error?: { message: string } };
    if (answer.error) throw new Error(`The simulator refused ${method}: ${answer.error.message}`);
    return (
      method === 'readDisk' ? Buffer.from((answer.result as { data: string }).data, 'base64') : answer.result
    ) as Result<M>;
  }
}
