import { z } from 'zod';
import { HoldfastError } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';

const API_VERSION = '2020-05-01';
/** A tenant has at most 10,000 management groups; more pages than this go round in a circle. */
const MAX_PAGES = 1000;

const pageSchema = z.object({
  value: z.array(z.object({ name: z.string(), type: z.string() })),
  nextLink: z.string().nullish(),
});

/**
 * The tree of management groups above the subscriptions. A call of its own, because the client library of this service has no
 * new version since 2021 and brings other versions of everything that the others share.
 */
export class ManagementGroups {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  /**
   * The subscriptions below a management group, at any level, in the order of the service. Needs
   * `Microsoft.Management/managementGroups/descendants/read` at the group. `notFound`, `accessDenied`.
   */
  async subscriptionsBelow(id: string, options?: CallOptions): Promise<string[]> {
    const { armEndpoint } = this.#connection.cloud;
    const path = `/providers/Microsoft.Management/managementGroups/${encodeURIComponent(id)}/descendants`;
    const found: string[] = [];
    let url: string | null | undefined = `${armEndpoint}${path}?api-version=${API_VERSION}`;
    for (let page = 0; url; page++) {
      if (page === MAX_PAGES) throw unreadable(id, 'its list does not end');
      const { bodyAsText } = await this.#connection.get(url, options);
      const parsed = pageSchema.safeParse(jsonOf(bodyAsText ?? ''));
      if (!parsed.success) throw unreadable(id, 'its answer is not a list of what is below it');
      for (const { name, type } of parsed.data.value)
        if (/(^|\/)subscriptions$/i.test(type)) found.push(name.toLowerCase());
      url = parsed.data.nextLink;
    }
    return found;
  }
}

const unreadable = (id: string, why: string): HoldfastError =>
  new HoldfastError('internal', `Azure's answer for management group ${id} cannot be used: ${why}.`, {
    target: id,
  });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
