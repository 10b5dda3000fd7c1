import { readFile, writeFile } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { expect, test } from 'vitest';
import { basics, type RunningHost, runHost, temporaryFolder } from './runHost.ts';

test('a request reaches the function with its parameters, and the answer the caller', async () => {
  const { url, log } = await runHost();
  const response = await fetch(`${url}/api/hello/b%20b/3?q=5`, {
    method: 'POST',
    body: 'body',
    headers: { 'x-sent': 'seen' },
  });
  expect(response.status).toBe(201);
  expect(await response.json()).toEqual({ params: { name: 'b b', count: '3' }, query: '5', body: 'body' });
  expect(response.headers.get('x-seen')).toBe('seen');
  expect(response.headers.get('set-cookie')).toBe('a=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax');
  expect(log).toContainEqual(
    expect.objectContaining({ category: 'user', functionName: 'hello', message: 'hello b b' }),
  );
});

test('the more specific route wins; what fits no route is 404, no method 405, no constraint 404', async () => {
  const { url } = await runHost();
  const status = async (path: string, method = 'GET'): Promise<[number, string]> => {
    const response = await fetch(url + path, { method });
    return [response.status, response.headers.get('allow') ?? (await response.text()).slice(0, 20)];
  };
  expect(await status('/api/hello/world')).toEqual([200, 'the literal route']);
  expect(await status('/api/HELLO/World')).toEqual([200, 'the literal route']);
  expect(await status('/api/hello/world', 'POST')).toEqual([201, expect.stringContaining('params')]);
  expect(await status('/api/hello/x/notANumber')).toEqual([404, '']);
  expect(await status('/api/hello/x/1/2')).toEqual([404, '']);
  expect(await status('/elsewhere')).toEqual([404, '']);
  expect(await status('/api/hello/x', 'DELETE')).toEqual([405, 'GET, POST']);
  expect(await status('/api/hello/%E0%A4%A')).toEqual([400, '']);
  expect(await status('/api/broken')).toEqual([500, '']);
});

test('keys open what their level says, in the header or the query', async () => {
  const { url } = await runHost();
  const status = async (path: string, key?: string, init: RequestInit = {}): Promise<number> => {
    const headers = key === undefined ? {} : { 'x-functions-key': key };
    return (await fetch(url + path, { ...init, headers })).status;
  };
  const put = { method: 'PUT', body: '1' };
  expect(await status('/api/size', undefined, put)).toBe(401);
  expect(await status('/api/size', 'wrong', put)).toBe(401);
  expect(await status('/api/size', 'system-key', put)).toBe(401);
  expect(await status('/api/size', 'function-key', put)).toBe(200);
  expect(await status('/api/size?code=function-key', undefined, put)).toBe(200);
  expect(await status('/api/size', 'master-key', put)).toBe(200);
  expect(await status('/api/nothing', 'function-key')).toBe(401);
  // A function that answers nothing is 204.
  expect(await status('/api/nothing', 'master-key')).toBe(204);
  const instances = '/runtime/webhooks/durabletask/instances';
  expect(await status(instances)).toBe(401);
  expect(await status(instances, 'function-key')).toBe(401);
  expect(await status(`${instances}?code=system-key`)).toBe(200);
  expect(await status('/admin/host/status', 'system-key')).toBe(401);
  expect(await status('/admin/host/status', 'master-key')).toBe(200);
  expect(await status('/admin/host/ping')).toBe(200);
});

test('a body of 30 MB arrives whole', async () => {
  const { url } = await runHost();
  const body = new Uint8Array(30_000_000).fill(7);
  const response = await fetch(`${url}/api/size?code=function-key`, { method: 'PUT', body });
  expect(await response.text()).toBe('30000000');
});

test('HTTPS serves the same functions', async () => {
  const tls = await certificate();
  const { httpsUrl, url } = await runHost({ tls: { cert: tls.cert, key: tls.key } });
  expect(httpsUrl).toMatch(/^https:/);
  const agent = new Agent({ ca: tls.cert });
  const text = await new Promise<string>((resolve, reject) => {
    const sent = httpsRequest(`${httpsUrl ?? ''}/api/hello/world`, { agent }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    });
    sent.once('error', reject).end();
  });
  agent.destroy();
  expect(text).toBe('the literal route');
  expect((await fetch(`${url}/api/hello/world`)).status).toBe(200);
});

async function certificate(): Promise<{ cert: string; key: string }> {
  const altNames = [
    { type: 2 as const, value: 'localhost' },
    { type: 7 as const, ip: '127.0.0.1' },
  ];
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames }],
  });
  return { cert: made.cert, key: made.private };
}

async function start(
  host: RunningHost,
  name: string,
  id: string,
  input: unknown,
): Promise<Record<string, string>> {
  const response = await fetch(`${host.url}/api/start/${name}/${id}`, {
    method: 'POST',
    body: JSON.stringify(input),
  });
  expect(response.status).toBe(202);
  return (await response.json()) as Record<string, string>;
}

test('the links of a check-status response lead from 202 to 200 and the output', async () => {
  const host = await runHost();
  const links = await start(host, 'waiting', 'linked', null);
  expect(links['statusQueryGetUri']).toContain(`${host.url}/runtime/webhooks/durabletask/instances/linked?`);
  await host.engine.watch('linked', (row) => row?.status === 'Running');
  const running = await fetch(links['statusQueryGetUri'] ?? '');
  expect([running.status, await running.json()]).toEqual([
    202,
    {
      name: 'waiting',
      instanceId: 'linked',
      runtimeStatus: 'Running',
      input: null,
      output: null,
      customStatus: null,
      createdTime: '2026-01-01T00:00:00Z',
      lastUpdatedTime: '2026-01-01T00:00:00Z',
    },
  ]);
  const raise = links['sendEventPostUri']?.replace('{eventName}', 'go') ?? '';
  expect((await fetch(raise, { method: 'POST', body: '"there"' })).status).toBe(202);
  await host.ended('linked');
  const done = await fetch(`${links['statusQueryGetUri'] ?? ''}&showHistory=true&showHistoryOutput=true`);
  const document = (await done.json()) as { output: unknown; historyEvents: { EventType: string }[] };
  expect([done.status, document.output]).toEqual([200, { got: 'there' }]);
  expect(document.historyEvents).toEqual([
    expect.objectContaining({ EventType: 'ExecutionStarted', FunctionName: 'waiting', Input: null }),
    expect.objectContaining({ EventType: 'EventRaised', Name: 'go', Input: 'there' }),
    expect.objectContaining({ EventType: 'TaskCompleted', FunctionName: 'echo', Result: 'there' }),
    expect.objectContaining({ EventType: 'ExecutionCompleted', OrchestrationStatus: 'Completed' }),
  ]);
  expect((await fetch(raise, { method: 'POST', body: '1' })).status).toBe(410);
  for (const [link, status] of [
    ['rewindPostUri', 501],
    ['restartPostUri', 501],
    ['purgeHistoryDeleteUri', 200],
  ] as const) {
    const method = link === 'purgeHistoryDeleteUri' ? 'DELETE' : 'POST';
    expect((await fetch(links[link] ?? '', { method })).status).toBe(status);
  }
  expect((await fetch(links['statusQueryGetUri'] ?? '')).status).toBe(404);
});

test('an instance started by the management API with a timeout answers its output', async () => {
  const { url } = await runHost();
  const path = `${url}/runtime/webhooks/durabletask/orchestrators/sequence/awaited?code=system-key&timeout=10`;
  const response = await fetch(path, { method: 'POST', body: '1' });
  expect([response.status, await response.json()]).toEqual([
    200,
    { first: 1, second: [1, 'text'], version: null },
  ]);
  const unknown = await fetch(path.replace('sequence', 'nothing'), { method: 'POST' });
  expect([unknown.status, await unknown.text()]).toEqual([
    400,
    expect.stringContaining("'nothing' doesn't exist"),
  ]);
  const bad = await fetch(path, { method: 'POST', body: '{' });
  expect(bad.status).toBe(400);
});

test('each operation of the Durable client does what it says', async () => {
  const host = await runHost();
  const { engine, ended } = host;
  const call = async (operation: string, id: string, body = 'null'): Promise<Record<string, unknown>> => {
    const response = await fetch(`${host.url}/api/client/${operation}/${id}?event=go`, {
      method: 'POST',
      body,
    });
    return (await response.json()) as Record<string, unknown>;
  };
  await start(host, 'waiting', 'a', { deep: ['input'] });
  await engine.watch('a', (row) => row?.status === 'Running');
  expect(await call('status', 'a')).toMatchObject({
    value: { name: 'waiting', instanceId: 'a', runtimeStatus: 'Running', input: { deep: ['input'] } },
  });
  await call('suspend', 'a');
  await engine.watch('a', (row) => row?.status === 'Suspended');
  await call('raise', 'a', '{"b":1}');
  await call('resume', 'a');
  expect(JSON.parse((await ended('a')).output ?? '')).toEqual({ got: { b: 1 } });
  expect(await call('status', 'nobody')).toEqual({ error: expect.stringContaining('HTTP 404') });
  expect(await call('rewind', 'a')).toEqual({ error: expect.anything() });

  await start(host, 'waiting', 'b', null);
  await call('terminate', 'b');
  expect((await ended('b')).output).toBe('"by test"');
  const conflict = await fetch(`${host.url}/api/start/waiting/c`, { method: 'POST' });
  expect(conflict.status).toBe(202);
  const again = await fetch(`${host.url}/api/start/waiting/c`, { method: 'POST' });
  expect(again.status).toBe(500);
  expect(host.log.at(-1)?.message).toMatch(/An Orchestration instance with the status \w+ already exists/);

  // More than one page of them.
  const { calls } = await basics();
  const before = calls.length;
  const ids = Array.from({ length: 120 }, (_, i) => `many-${String(i).padStart(3, '0')}`);
  for (const id of ids) host.start('sequence', id, id);
  for (const id of ids) await ended(id);
  expect(calls.length - before).toBe(240);
  expect((await call('list', 'x'))['value']).toEqual(['a', 'b', 'c', ...ids]);
  expect(await call('purge', 'a')).toEqual({ value: { instancesDeleted: 1 } });
  expect(await call('purge', 'a')).toEqual({ value: { instancesDeleted: 0 } });
  expect(await call('failed', 'x')).toEqual({ value: [] });
});

test('neither keys nor signatures reach the log', async () => {
  const { jsonLog } = await import('../../local/functions-host/log.ts');
  const file = join(await temporaryFolder(), 'log');
  let text = '';
  const log = jsonLog((line) => {
    text += line;
  });
  log({ level: 'error', category: 'user', message: 'GET https://x/y?sv=1&sig=SECRET1%3D&x=1 code=kept' });
  log({
    level: 'error',
    category: 'user',
    message: 'POST /a?code=SECRET2 Authorization: Bearer SECRET3.a-b_c',
  });
  log({ level: 'debug', category: 'host', message: 'too fine' });
  await writeFile(file, text);
  const written = await readFile(file, 'utf8');
  expect(written).not.toMatch(/SECRET|too fine/);
  expect(written).toContain('&sig=REDACTED&x=1');
});
