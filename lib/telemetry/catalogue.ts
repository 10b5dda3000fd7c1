/**
 * Everything Holdfast says to Azure Monitor, in one place: an event is one fact (the audit trail, and what
 * alerts ask for), a metric is for charts. The emitters, docs/telemetry.md and the queries are held to it.
 *
 * Names are part of the product: an alert in somebody's subscription asks for them. Add fields, never rename.
 */
import { z } from 'zod';
import { ERROR_CODES } from '../model/errors.ts';
import { consistencySchema, readReasonSchema, restorePointSchema } from '../model/restorePoint.ts';
import { sessionKindSchema, sessionStatusSchema } from '../model/session.ts';

const id = (what: string) => z.string().min(1).describe(what);
const count = (what: string) => z.int().nonnegative().describe(what);
const seconds = (what: string) => z.number().nonnegative().describe(`${what}, in seconds`);

const sessionId = id('The session');
const machineId = id('The machine, by the id that Holdfast gave it');
const policyId = id('The policy');
const kind = sessionKindSchema.describe('What the session does');
const outcome = sessionStatusSchema.exclude(['running']).describe('How it ended');
const readReasons = z
  .array(readReasonSchema)
  .describe(
    'Why each disk was read as it was (`changedBlocks`, or why it was read whole: `first`, `baseMissing`, ...), each once',
  );
const sequence = z.int().positive().describe('The number of the restore point in its chain');
const bytesRead = count('Bytes read from snapshots, or from the repository when restoring');
const bytesStored = count('Bytes written, compressed and encrypted, or to new disks when restoring');

function define<S extends z.ZodObject>(description: string, fields: S) {
  return { description, fields };
}

export const EVENTS = {
  'holdfast.session.started': define(
    'A session began.',
    z.strictObject({
      sessionId,
      kind,
      machineId: machineId.nullish(),
      policyId: policyId.nullish(),
    }),
  ),
  'holdfast.session.completed': define(
    'A session ended, whatever its outcome; every session that started has exactly one.',
    z.strictObject({
      sessionId,
      kind,
      machineId: machineId.nullish(),
      policyId: policyId.nullish(),
      outcome,
      readReasons,
      bytesRead,
      bytesStored,
      durationSeconds: seconds('From the start of the session to its end'),
      errorCode: z.enum(ERROR_CODES).describe('The code of the error that decided the outcome').nullish(),
    }),
  ),
  'holdfast.restorePoint.created': define(
    'A restore point was committed: its manifest is in the repository.',
    z.strictObject({
      sessionId,
      machineId,
      sequence,
      kind: restorePointSchema.shape.kind.describe('What was read'),
      consistency: consistencySchema.describe('Whether all disks show the same instant'),
      disks: count('How many disks it holds'),
      readReasons,
      bytesRead,
      bytesStored,
    }),
  ),
  'holdfast.restorePoint.removed': define(
    'A restore point was removed from its chain; its data goes with the next collection.',
    z.strictObject({
      sessionId: sessionId.nullish(),
      machineId,
      sequence,
      reason: z.enum(['retention', 'request']).describe('Who asked for it'),
    }),
  ),
  'holdfast.worker.launched': define(
    'A worker VM was created or started for jobs.',
    z.strictObject({
      workerId: id('The worker: its slot and generation'),
      region: id('The Azure region'),
      size: id('The VM size that was got'),
      how: z.enum(['created', 'started']).describe('A new VM, or a deallocated one started again'),
    }),
  ),
  'holdfast.worker.released': define(
    'A worker VM was deallocated or deleted.',
    z.strictObject({
      workerId: id('The worker: its slot and generation'),
      region: id('The Azure region'),
      how: z.enum(['deallocated', 'deleted']).describe('What was done with the VM'),
      reason: id('Why: `idle`, `drained`, `notReady`, `swept`, ...'),
    }),
  ),
  'holdfast.sweep.released': define(
    'The sweep released something that belonged to no live session.',
    z.strictObject({
      sessionId: sessionId.nullish(),
      what: id('The kind of thing: `grant`, `snapshot`, `worker`, `chain`, `claim`, ...'),
      target: id('Its name or resource id'),
      reason: z.enum(['terminal', 'missing', 'silent', 'unowned']).describe('What was found of its owner'),
    }),
  ),
  'holdfast.cbt.sampleMismatch': define(
    'A block that changed block tracking called unchanged had changed; the disk is read whole.',
    z.strictObject({
      sessionId,
      machineId,
      disk: count('The number of the disk in the chain'),
      bytesSampled: count('How many bytes were compared; at least one block of them differed'),
    }),
  ),
  'holdfast.repository.damaged': define(
    'A check found an object of the repository that is damaged or missing.',
    z.strictObject({
      sessionId,
      object: id('The name of the object'),
      problem: id('What is wrong with it'),
      points: count('How many restore points cannot be read whole because of it'),
    }),
  ),
  'holdfast.chain.restarted': define(
    'The metadata of a chain is damaged; the next backup of the machine began a new one.',
    z.strictObject({
      sessionId,
      machineId,
      chainId: id('The chain that is damaged'),
      object: id('The first damaged object'),
    }),
  ),
  'holdfast.scheduler.tick': define(
    'The scheduler ran, due slots or not; its absence is an alarm.',
    z.strictObject({
      policies: count('How many enabled policies were looked at'),
      due: count('How many slots were due'),
      started: count('How many runs were started'),
      lateSeconds: seconds('How late this tick was'),
    }),
  ),
  'holdfast.slot.missed': define(
    'A slot of a policy passed without a run of its own.',
    z.strictObject({
      policyId,
      slot: z.iso.datetime().describe('The slot, in UTC'),
      coalescedInto: z.iso.datetime().describe('The later slot that did its work').nullish(),
    }),
  ),
} as const;

export type EventName = keyof typeof EVENTS;
export type EventFields<N extends EventName> = z.infer<(typeof EVENTS)[N]['fields']>;

interface MetricDefinition<S extends z.ZodObject> {
  readonly description: string;
  readonly instrument: 'histogram' | 'counter';
  /** UCUM, as OpenTelemetry wants it. */
  readonly unit: 's' | 'By';
  /** Few values each: ids belong in events. */
  readonly attributes: S;
}

function measure<S extends z.ZodObject>(definition: MetricDefinition<S>): MetricDefinition<S> {
  return definition;
}

export const METRICS = {
  'holdfast.session.duration': measure({
    description: 'How long a session took; its count is the number of sessions.',
    instrument: 'histogram',
    unit: 's',
    attributes: z.strictObject({ kind, outcome }),
  }),
  'holdfast.io.read': measure({
    description: 'Bytes that sessions read.',
    instrument: 'counter',
    unit: 'By',
    attributes: z.strictObject({ kind }),
  }),
  'holdfast.io.stored': measure({
    description: 'Bytes that sessions stored.',
    instrument: 'counter',
    unit: 'By',
    attributes: z.strictObject({ kind }),
  }),
} as const;

export type MetricName = keyof typeof METRICS;
export type MetricAttributes<N extends MetricName> = z.infer<(typeof METRICS)[N]['attributes']>;
