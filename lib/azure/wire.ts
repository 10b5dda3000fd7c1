import type { PipelineResponse } from '@azure/core-rest-pipeline';
import { HoldfastError } from '../model/index.ts';
import type { SdkCall } from './connection.ts';

/** A resource as ARM sends it: what Holdfast keeps of a machine is Azure's own shape, not the SDK's flattened one. */
export type WireResource = Record<string, unknown>;

/**
 * Runs a GET of the SDK and gives both its typed answer and the body it came from:
 * `read((o) => client.disks.get(group, name, o), connection.call())`.
 */
export async function readWithBody<T>(
  get: (options: SdkCall & { onResponse: (response: PipelineResponse) => void }) => Promise<T>,
  call: SdkCall,
): Promise<{ value: T; body: WireResource }> {
  let text: string | null | undefined;
  const value = await get({
    ...call,
    onResponse: (response) => {
      text = response.bodyAsText;
    },
  });
  const body: unknown = JSON.parse(text ?? 'null');
  if (typeof body !== 'object' || body === null) {
    throw new HoldfastError('internal', 'Azure answered a read with something that is not a resource.');
  }
  return { value, body: body as WireResource };
}

/** A field that ARM always sends; its absence means that the answer is not what it should be. */
export function must<T>(value: T | undefined | null, field: string, target: string): T {
  if (value === undefined || value === null) {
    throw new HoldfastError('internal', `Azure's answer for ${target} has no ${field}.`, { target });
  }
  return value;
}
