/** beginGetAccess and endGetAccess of disks and snapshots: stored policies of the data plane, at most five snapshots of a family at once. */
import * as z from 'zod';
import type { SimulatorClock } from '../clock.ts';
import { type AccessPolicies, validateFooter } from '../disks/index.ts';
import { ArmError, invalidParameter, notAllowed } from '../errors.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { ArmApp, ArmReply, ArmRequest } from './app.ts';
import { parseBody } from './body.ts';
import type { DiskLike, DiskRecords, Grant } from './diskRecords.ts';

const grantBody = z.looseObject({
  access: z.enum(['None', 'Read', 'Write']),
  durationInSeconds: z.number().int().positive(),
  getSecureVMGuestStateSAS: z.boolean().optional(),
  fileFormat: z.string().optional(),
});

export interface GrantServices {
  app: ArmApp;
  records: DiskRecords;
  policies: AccessPolicies;
  clock: SimulatorClock;
  limits: SimulatorSettings['limits'];
  /** Name of the machine that runs with this disk attached. */
  runningMachineOf: (record: DiskLike) => string | undefined;
}

export class Grants {
  private readonly services: GrantServices;

  constructor(services: GrantServices) {
    this.services = services;
    const { app, records } = services;
    app.core.operations.register(
      'grant.begun',
      (operation) => {
        const record = records.get(operation.target);
        // A grant whose operation failed was never handed out.
        if (record?.grant && operation.outcome.status !== 'Succeeded') this.drop(record);
      },
      (operation) => {
        const record = records.get(operation.target);
        const url = record && this.url(record);
        return url === undefined ? undefined : { accessSAS: url };
      },
    );
    app.core.operations.register('grant.ended', () => undefined);
  }

  async begin(request: ArmRequest, record: DiskLike): Promise<ArmReply> {
    const body = parseBody(grantBody, request.body);
    const { clock, limits, records } = this.services;
    if (body.access === 'None')
      throw invalidParameter(
        'access',
        "The value 'None' of parameter access is not supported. Supported: Read, Write.",
      );
    if (body.getSecureVMGuestStateSAS)
      throw notAllowed('The simulator keeps no VM guest state: getSecureVMGuestStateSAS is not supported.');
    if (body.fileFormat !== undefined && body.fileFormat !== 'VHD')
      throw notAllowed('The simulator exports flat VHD only: fileFormat VHDX is not supported.');
    if (body.durationInSeconds > limits.grantSeconds) {
      throw invalidParameter(
        'durationInSeconds',
        `The value ${body.durationInSeconds} of parameter durationInSeconds is out of range: at most ${limits.grantSeconds} seconds (60 days).`,
      );
    }
    const active = records.activeGrant(record);
    if (active && active.access !== body.access) {
      throw notAllowed(
        `There is an active shared access signature outstanding for ${record.kind} ${record.name}. Call EndGetAccess first.`,
      );
    }
    if (!active) {
      this.checkState(record, body.access);
      this.make(record, body.access, new Date(clock.now().getTime() + body.durationInSeconds * 1000));
    }
    return this.accepted(request, record, 'grant.begun');
  }

  async end(request: ArmRequest, record: DiskLike): Promise<ArmReply> {
    const { records } = this.services;
    let wrong: string | undefined;
    if (record.kind === 'disk' && record.uploading && record.grant) {
      const verdict = await this.judgeFooter(record);
      if (verdict.ok) await this.finishUpload(record);
      else wrong = verdict.message;
    }
    this.drop(record);
    records.save(record);
    if (wrong !== undefined) throw new ArmError(400, 'InvalidVhd', wrong);
    return this.accepted(request, record, 'grant.ended');
  }

  private async finishUpload(record: DiskLike & { kind: 'disk' }): Promise<void> {
    const { records } = this.services;
    // A crash between the two: the store says it is no longer uploading, and the second revoke only changes the record.
    if (records.store.describe(record.uniqueId).uploading)
      await records.store.completeUpload(record.uniqueId);
    record.sizeBytes = records.store.describe(record.uniqueId).sizeBytes;
    record.uploading = false;
  }

  private checkState(record: DiskLike, access: 'Read' | 'Write'): void {
    const { records, limits, runningMachineOf } = this.services;
    if (record.kind === 'snapshot') {
      if (access === 'Write')
        throw notAllowed(`Write access to snapshot ${record.name} is not possible: a snapshot is read-only.`);
      const copied = records.completionPercent(record) ?? 100;
      if (copied < 100)
        throw notAllowed(
          `Access to snapshot ${record.name} cannot be granted: its background copy is ${copied} % complete.`,
        );
      const granted =
        record.familyId === undefined
          ? []
          : records.family(record.familyId).filter((member) => records.activeGrant(member));
      if (granted.length >= limits.grantsPerFamily) {
        throw notAllowed(
          `Cannot grant access to snapshot ${record.name}: shared access signatures are outstanding for ${granted.length} snapshots of its family, and at most ${limits.grantsPerFamily} are allowed. Call EndGetAccess on one of them first.`,
        );
      }
      return;
    }
    const machine = runningMachineOf(record);
    if (machine !== undefined)
      throw notAllowed(
        `Access not permitted because disk ${record.name} is currently attached to running VM ${machine}.`,
      );
    if (record.uploading && access === 'Read')
      throw notAllowed(
        `Disk ${record.name} is in upload state: only Write access can be granted until the upload is done.`,
      );
    if (!record.uploading && access === 'Write') {
      throw notAllowed(
        `Write access to disk ${record.name} is not permitted: it was not created with createOption Upload, or its upload is done.`,
      );
    }
  }

  private make(record: DiskLike, access: Grant['access'], expiresAt: Date): void {
    const { policies, records } = this.services;
    const incremental = record.kind === 'snapshot' && record.incremental;
    const { si } = policies.grant({
      target: record.uniqueId,
      access,
      container: containerOf(record),
      ...(incremental ? { snapshotTime: record.snapshotTime } : {}),
      expiresAt,
      requiresToken: record.echoed.dataAccessAuthMode === 'AzureActiveDirectory',
    });
    record.grant = { access, si, expiresAt: expiresAt.getTime() };
    records.save(record);
  }

  /** Revokes at once and forgets the grant. */
  private drop(record: DiskLike): void {
    const { grant } = record;
    if (!grant) return;
    this.services.policies.revoke(grant.si);
    delete record.grant;
    this.services.records.save(record);
  }

  /** The SAS URL of the grant: never kept, so that no signature is in the state and a new port is no harm. */
  private url(record: DiskLike): string | undefined {
    const { policies, app } = this.services;
    const issued = record.grant && policies.issued(record.grant.si);
    return issued && `${app.core.base()}${issued.pathAndQuery}`;
  }

  private judgeFooter(record: DiskLike) {
    const { store } = this.services.records;
    // After a crash in the middle of an earlier revoke the footer was judged and is gone.
    return store.describe(record.uniqueId).uploading
      ? validateFooter(store, record.uniqueId, this.url(record) ?? '')
      : { ok: true as const };
  }

  private accepted(request: ArmRequest, record: DiskLike, finisher: string): ArmReply {
    const order = { service: 'disk', location: record.location, target: record.id, finisher } as const;
    return this.services.app.startOperation(request, order, { status: 202, monitor: true }).reply;
  }
}

function containerOf(record: DiskLike): string {
  const shared =
    record.kind === 'snapshot' && record.familyId !== undefined ? record.familyId : record.uniqueId;
  const kind = record.kind === 'disk' && record.uploading ? 'md-impexp' : 'md';
  return `${kind}-${shared.replaceAll('-', '').slice(0, 12)}`;
}
