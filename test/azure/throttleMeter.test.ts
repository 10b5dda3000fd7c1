import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createDefaultHttpClient,
  createEmptyPipeline,
  createPipelineRequest,
  defaultRetryPolicy,
} from '@azure/core-rest-pipeline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metered, type ThrottleMeter, threadMeter } from '../../lib/azure/throttleMeter.ts';

describe('the meter of refusals', () => {
  let server: Server;
  let url = '';
  const refusals = new Map<string, number>();
  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = request.url ?? '';
      const left = refusals.get(path) ?? 0;
      refusals.set(path, left - 1);
      if (left > 0) response.writeHead(path === '/busy' ? 503 : 429, { 'retry-after': '0' });
      else response.writeHead(200);
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  async function get(path: string): Promise<number> {
    const pipeline = createEmptyPipeline();
    pipeline.addPolicy(defaultRetryPolicy({ maxRetries: 3, retryDelayInMs: 1 }));
    const request = createPipelineRequest({ url: url + path, allowInsecureConnection: true });
    return (await pipeline.sendRequest(createDefaultHttpClient(), request)).status;
  }

  it('counts what an SDK tries again out of sight, each for the work that asked', async () => {
    refusals.set('/busy', 2).set('/paced', 1);
    const meters: ThrottleMeter[] = Array.from({ length: 3 }, () => ({ calls: 0, seconds: 0 }));
    const [first, second, third] = meters as [ThrottleMeter, ThrottleMeter, ThrottleMeter];
    // Side by side, over connections that are kept.
    const answers = await Promise.all([
      metered(first, () => get('/busy')),
      metered(second, () => get('/paced')),
      metered(third, () => get('/free')),
    ]);
    expect(answers).toEqual([200, 200, 200]);
    await metered(third, () => get('/free'));
    // Outside of a meter it is the thread's.
    const before = { ...threadMeter() };
    refusals.set('/stray', 1);
    expect(await get('/stray')).toBe(200);
    expect(threadMeter().calls - before.calls).toBe(1);
    expect(meters).toEqual([
      { calls: 2, seconds: 1 },
      { calls: 1, seconds: 0.5 },
      { calls: 0, seconds: 0 },
    ]);
  });
});
