import type { ComputeManagementClient } from '@azure/arm-compute';
import { HoldfastError, isHoldfastError, parseArmId } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { submit, waitForOperation } from './operations.ts';

/** An activity has 60 s; the first call may have taken some of them. */
const WAIT_SECONDS = 40;

/**
 * Access by SAS to the bytes of a snapshot (Read) or of a disk in upload (Write). A SAS is a secret: it is returned to the caller's memory
 * and never becomes part of an `Operation`. Counting holders, and Azure's limit of five granted snapshots a family, is the caller's.
 */
export class DiskGrants {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  /**
   * Asks for access and waits for it (about two seconds, at most 40). Granting twice gives a SAS again. On `timeout` the grant may
   * exist all the same: revoke it. `accessDenied` where the network policy or a missing role forbids it; `notFound`; `conflict`.
   */
  async grantAccess(
    resourceId: string,
    access: 'Read' | 'Write',
    durationInSeconds: number,
    options?: CallOptions,
  ): Promise<string> {
    const { operations, group, name } = this.#resource(resourceId);
    const started = await submit(
      this.#connection,
      { what: `grant ${access} access to "${name}"`, resourceId },
      (call) => operations.grantAccess(group, name, { access, durationInSeconds }, call),
      options,
    );
    const { operation } = started;
    const body =
      operation.via === 'none'
        ? started.body
        : await waitForOperation(this.#connection, operation, WAIT_SECONDS, options);
    const sas = readSas(body);
    if (sas === undefined) {
      throw new HoldfastError('internal', `${operation.what}: Azure granted it without a URL.`, {
        target: resourceId,
      });
    }
    return sas;
  }

  /**
   * Ends all access to the resource and waits for it (at most 40 s). May be called again, and of what is gone. For a disk in upload this
   * is where Azure checks the VHD footer: `invalidInput` when it is wrong.
   */
  async revokeAccess(resourceId: string, options?: CallOptions): Promise<void> {
    const { operations, group, name } = this.#resource(resourceId);
    try {
      const { operation } = await submit(
        this.#connection,
        { what: `revoke access to "${name}"`, resourceId, goneIsDone: true },
        (call) => operations.revokeAccess(group, name, call),
        options,
      );
      await waitForOperation(this.#connection, operation, WAIT_SECONDS, options);
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return;
      throw error;
    }
  }

  #resource(resourceId: string): { operations: GrantOperations; group: string; name: string } {
    const { subscriptionId, resourceGroup, type, name } = parseArmId(resourceId);
    const client = this.#connection.compute(subscriptionId);
    const kind = type.toLowerCase();
    if (kind === 'microsoft.compute/snapshots')
      return { operations: client.snapshots, group: resourceGroup, name };
    if (kind === 'microsoft.compute/disks') return { operations: client.disks, group: resourceGroup, name };
    throw new HoldfastError('invalidInput', `Access can be granted to disks and snapshots, not to ${type}.`, {
      target: resourceId,
    });
  }
}

type GrantOperations = Pick<ComputeManagementClient['snapshots'], 'grantAccess' | 'revokeAccess'>;

/** The SAS in an operation's answer (`properties.output`), or in that of its Location. */
export function readSas(body: unknown): string | undefined {
  const answer = body as { accessSAS?: string; properties?: { output?: { accessSAS?: string } } } | undefined;
  return answer?.properties?.output?.accessSAS ?? answer?.accessSAS;
}
