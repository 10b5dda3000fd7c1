/** The URLs of operations: status, and the monitor (Location) that answers 202 until the end and then with the result. */
import { ArmError } from '../errors.ts';
import type { OperationRecord } from '../operations.ts';
import type { ArmApp, ArmReply, ArmRequest } from './app.ts';

export function operationRoutes(app: ArmApp): void {
  const { operations, roles } = app.core;
  const find = (request: ArmRequest): OperationRecord => {
    const record = operations.get(request.params.id as string);
    if (!record || record.subscription.toLowerCase() !== (request.params.s as string).toLowerCase()) {
      throw new ArmError(404, 'NotFound', `The operation '${request.params.id}' was not found.`);
    }
    if (record.owner !== request.caller.objectId) {
      roles.require(
        request.caller,
        'Microsoft.Compute/locations/operations/read',
        `/subscriptions/${record.subscription}`,
      );
    }
    return record;
  };
  const polled = (request: ArmRequest) => {
    const record = find(request);
    operations.settle();
    const done = record.done;
    if (!done) operations.poll(record);
    return { record, done };
  };
  const waiting = (record: OperationRecord) => operations.retryAfter(record);
  const status = (request: ArmRequest): ArmReply => {
    const { record, done } = polled(request);
    return { status: 200, ...(done ? {} : { headers: waiting(record) }), body: operations.status(record) };
  };
  const monitor = (request: ArmRequest): ArmReply => {
    const { record, done } = polled(request);
    if (!done) {
      const { monitor: url } = operations.urls(record, app.core.base());
      return { status: 202, headers: { ...waiting(record), Location: url } };
    }
    const { error } = record.outcome;
    if (record.outcome.status !== 'Succeeded')
      throw new ArmError(
        409,
        error?.code ?? 'OperationCanceled',
        error?.message ?? 'The operation was canceled.',
      );
    const output = operations.output(record);
    return { status: 200, ...(output === undefined ? {} : { body: output }) };
  };
  const either = (request: ArmRequest) =>
    request.query.get('monitor')?.toLowerCase() === 'true' ? monitor(request) : status(request);
  const compute = '/subscriptions/{s}/providers/Microsoft.Compute/locations/{location}';
  const network = '/subscriptions/{s}/providers/Microsoft.Network/locations/{location}';
  app.route('GET', `${compute}/DiskOperations/{id}`, { throttle: 'getOperation' }, either);
  app.route('GET', `${compute}/operations/{id}`, { throttle: 'getOperation' }, either);
  app.route('GET', `${network}/operations/{id}`, {}, status);
  app.route('GET', `${network}/operationResults/{id}`, {}, monitor);
  app.route('GET', '/subscriptions/{s}/operationresults/{id}', {}, monitor);
}
