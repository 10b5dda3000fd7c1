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
import { WAIT_KINDS } from '../model/sessionTimes.ts';

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
const coverage = z
  .enum(['protected', 'late', 'waiting', 'none'])
  .describe('Whether it is protected: `late` lacks the point of a slot, `none` is in no policy');
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
      kind: restorePointSchema.shape.kind.describe('Whether the chain had its disks before'),
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
  'holdfast.restorePoint.removalRefused': define(
    'A restore point was to be removed and is immutable: it stays until its date, and is tried again.',
    z.strictObject({
      sessionId: sessionId.nullish(),
      machineId,
      sequence,
      reason: z.enum(['retention', 'request']).describe('Who asked for it'),
      immutableUntil: id('The date, in UTC'),
    }),
  ),
  'holdfast.collection.locked': define(
    'A collection left objects that nothing needs any more and that are immutable: they go after their date.',
    z.strictObject({
      sessionId,
      chainId: id('The chain'),
      objects: count('How many objects'),
      bytes: count('Their bytes'),
      immutableUntil: id('The latest of their dates, in UTC'),
    }),
  ),
  'holdfast.restorePoint.held': define(
    'A person said that a restore point stays whatever retention says, or took that back.',
    z.strictObject({
      machineId,
      sequence,
      held: z.boolean().describe('True: held; false: released'),
      by: z.string().describe('Who holds it').nullable(),
      until: z.iso.datetime().describe('When the hold ends by itself').nullable(),
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
  'holdfast.snapshot.removed': define(
    'Snapshots of one machine and one time were removed, other than by the retention of its policy.',
    z.strictObject({
      sessionId,
      machineId,
      set: id('The set: `<session>-<number>`'),
      snapshots: count('How many snapshots'),
      reason: z.enum(['invalid', 'obsolete', 'orphaned', 'expired', 'request']).describe('Why they went'),
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
  'holdfast.repository.keysChanged': define(
    'The key slots of the repository were changed: who can open it is not who could before.',
    z.strictObject({
      repositoryId: id('The repository'),
      change: z
        .enum(['added', 'passwordChanged', 'rewrapped', 'removed'])
        .describe('What was done with the slot'),
      slot: id('The key slot'),
    }),
  ),
  'holdfast.repository.adopted': define(
    'This installation became the owner of a repository that it did not found.',
    z.strictObject({
      repositoryId: id('The repository'),
      takenFrom: id('The installation that owned it before, which is fenced from now on').nullish(),
    }),
  ),
  'holdfast.policy.compliance': define(
    'How well a policy kept its SLA in the last 24 hours.',
    z.strictObject({
      policyId,
      percent: z.number().describe('Mean over its machines of good points per expected ones'),
      thresholdPercent: z.number().describe('What the SLA asks for'),
      met: z.boolean().describe('Whether that was reached'),
      machines: count('Machines that the policy has'),
      missed: count('Slots without a point, of all machines'),
    }),
  ),
  'holdfast.machine.coverage': define(
    'Whether a machine is protected as its policy promises: told when that changes, and every hour.',
    z.strictObject({
      machineId,
      policyId: policyId.nullish(),
      state: coverage,
      before: coverage.describe('What it was before; absent where nothing changed').nullish(),
      why: id('Why, for a person'),
      missedSlot: z.iso.datetime().describe('The slot that a late machine has no point for').nullish(),
      rpoSeconds: seconds('Age of the newest usable point').nullish(),
    }),
  ),
  'holdfast.coverage.counted': define(
    'How many machines are in which state of coverage: told when one changes, and every hour.',
    z.strictObject({
      protected: count('With a point for the newest slot that had its time'),
      late: count('Without one'),
      waiting: count('Whose first slot has not come'),
      none: count('In no policy that backs them up'),
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
  'holdfast.session.waited': measure({
    description: 'How long a session waited for something beside its own work.',
    instrument: 'histogram',
    unit: 's',
    attributes: z.strictObject({
      kind,
      wait: z.enum([...WAIT_KINDS, 'throttling']).describe('What it waited for'),
    }),
  }),
  'holdfast.rpo.age': measure({
    description:
      'Age of the newest usable point of a machine, measured every hour and at each change of its coverage.',
    instrument: 'histogram',
    unit: 's',
    attributes: z.strictObject({ state: coverage }),
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
