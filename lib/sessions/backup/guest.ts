import type { RunCommandInfo } from '../../azure/index.ts';
import type { Installation } from '../../installation/index.ts';
import {
  type GuestScripts,
  HoldfastError,
  isHoldfastError,
  type MachineConfiguration,
  type Protection,
} from '../../model/index.ts';
import { redact } from '../../telemetry/index.ts';
import { enterStep, stayAlive, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { type BackupState, findState, type GuestRun, need, readState, updateState } from '../state.ts';

/**
 * Scripts of a policy in the guest, around its snapshots: `before`, then the snapshots are taken, then `after`, whatever became
 * of the snapshots, of the backup, or of a wish to cancel: a guest that was made quiet is woken again. The intent of `after` is
 * written before `before` starts, so that the sweep runs it for a session that died in between.
 *
 * Not promised: that `after` runs in a machine that was switched off or deleted meanwhile.
 */
export type Stage = 'before' | 'after';
export interface WhichScript {
  readonly sessionId: string;
  readonly set: number;
  readonly stage: Stage;
}

/** Azure's own time to bring a script to the agent and to notice its end, beyond the script's timeout. */
const GRACE_MS = 10 * 60_000;
/** As much of a script's output as a person is shown. */
const SHOWN = 400;

/** The scripts for this machine; null when the policy has none for its system, or no guest runs. */
export function guestScriptsOf(
  { machine, virtualMachine }: MachineConfiguration,
  { consistency }: Pick<Protection, 'consistency'>,
): GuestScripts | null {
  if (machine.powerState !== 'running') return null;
  const properties = virtualMachine['properties'] as
    | { storageProfile?: { osDisk?: { osType?: string } } }
    | undefined;
  const windows = /^windows$/i.test(properties?.storageProfile?.osDisk?.osType ?? '');
  const scripts = windows ? consistency.scripts.windows : consistency.scripts.linux;
  return scripts && (scripts.before !== null || scripts.after !== null) ? scripts : null;
}

/** Starts a script, unless an earlier run of this step did. What keeps it from starting is told by `watchGuestScript`. */
export async function startGuestScript(installation: Installation, which: WhichScript): Promise<void> {
  const { sessionId, set, stage } = which;
  await enter(installation, which);
  const state = await readState(installation, sessionId, 'backup');
  const scripts = scriptsOf(state, sessionId);
  if (!scripts || state.guest[keyOf(which)]) return;
  if (stage === 'before' && scripts.after !== null)
    await owe(installation, { sessionId, set, stage: 'after' });
  if (stage === 'after' && !isOwed(state, scripts, set)) return settle(installation, which);
  if (scripts[stage] === null) return;
  await owe(installation, which);
  await launch(installation, which, state);
}

/** Looks whether a script has ended, and judges it as the policy says. @throws `guestScriptFailed` */
export async function watchGuestScript(
  installation: Installation,
  which: WhichScript,
): Promise<Looked<null>> {
  const { sessionId, stage } = which;
  await enter(installation, which);
  const state = await readState(installation, sessionId, 'backup');
  const scripts = scriptsOf(state, sessionId);
  const run = state.guest[keyOf(which)];
  if (!scripts || !run) return seen(null);
  const ended = run.ended ? run : await look(installation, which, scripts, run);
  if (!ended) return notYet(`the script ${stage} the snapshots`);
  await note(installation, which, ended);
  await removeCommand(installation, which, state);
  await settle(installation, which);
  if (ended.failure === null) return seen(null);
  const { machine } = configurationOf(state, sessionId);
  const text = `The script ${stage} the snapshots of machine ${machine.name} failed: ${ended.failure}`;
  if (scripts.ifItFails === 'stop')
    throw new HoldfastError('guestScriptFailed', text, { target: machine.armId });
  await warn(installation, sessionId, text);
  return seen(null);
}

/** Done when Azure has taken the moment of each snapshot of the set, readable or not: the guest need not be quiet any longer. */
export async function watchTaken(
  installation: Installation,
  { sessionId, set }: Pick<WhichScript, 'sessionId' | 'set'>,
): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'snapshot');
  const { azure, catalog, clock } = installation;
  for (const { key, detail, writtenAt } of await catalog.intents.list(sessionId, 'snapshot')) {
    if (detail['set'] !== set || (await azure.snapshots.find(key))?.timeCreated) continue;
    // One that never appears is for the next step to tell; the guest does not wait for it.
    if (clock.now().getTime() - Date.parse(writtenAt) < 120_000) return notYet(`snapshot ${key}`);
  }
  return seen(null);
}

/** What a session that ended left in a guest: the script after, if it is owed, and its commands. For the end and the sweep. */
export async function releaseGuest(installation: Installation, sessionId: string): Promise<void> {
  const intents = await installation.catalog.intents.list(sessionId, 'guest');
  if (intents.length === 0) return;
  const state = await findState(installation, sessionId);
  for (const { key, detail } of intents) {
    const which = { sessionId, set: Number(detail['set']), stage: detail['stage'] as Stage };
    if (state?.request.kind !== 'backup') await installation.catalog.intents.resolve(sessionId, 'guest', key);
    else await releaseOne(installation, which, state as BackupState);
  }
}

async function releaseOne(installation: Installation, which: WhichScript, state: BackupState): Promise<void> {
  const scripts = scriptsOf(state, which.sessionId);
  const run = state.guest[keyOf(which)];
  try {
    if (scripts && which.stage === 'after') {
      if (!run && isOwed(state, scripts, which.set)) return await launch(installation, which, state);
      if (run && !run.ended) {
        const ended = await look(installation, which, scripts, run);
        if (!ended) return;
        await note(installation, which, ended);
      }
    }
    await removeCommand(installation, which, state);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    // Later, by the sweep. But a machine that is off or gone has nobody to wake.
    if (error.retryable) return;
  }
  await settle(installation, which);
}

async function launch(installation: Installation, which: WhichScript, state: BackupState): Promise<void> {
  const { sessionId, stage } = which;
  const { machine } = configurationOf(state, sessionId);
  const scripts = need(scriptsOf(state, sessionId), 'the scripts', sessionId);
  const name = nameOf(which);
  const startedAt = installation.clock.now().toISOString();
  try {
    const { id: owner } = await installation.identity();
    const there = await installation.azure.runCommands.find(machine.armId, name);
    const operation = there
      ? null
      : await installation.azure.runCommands.start({
          machineId: machine.armId,
          location: machine.location,
          name,
          script: await fillIn(installation, scripts[stage] ?? '', machine.name, sessionId),
          timeoutSeconds: scripts.timeoutMinutes * 60,
          tags: { 'holdfast-owner': owner, 'holdfast-session': sessionId },
        });
    await note(installation, which, { startedAt, operation, began: true, ended: false, failure: null });
  } catch (error) {
    if (!isHoldfastError(error) || error.retryable) throw error;
    const failure =
      error.code === 'accessDenied' ? `${error.message} It needs the role Holdfast Guest.` : error.message;
    await note(installation, which, { startedAt, operation: null, began: false, ended: true, failure });
  }
}

/** What became of a script, or null while nothing did. */
async function look(
  installation: Installation,
  which: WhichScript,
  scripts: GuestScripts,
  run: GuestRun,
): Promise<GuestRun | null> {
  const { azure, clock } = installation;
  const ended = (failure: string | null, began = run.began) => ({ ...run, began, ended: true, failure });
  if (run.operation) {
    const state = await azure.runCommands.poll(run.operation);
    // No agent took it: it did not run.
    if (state.status === 'failed') return ended(state.failure.message, false);
  }
  const { machine } = configurationOf(
    await readState(installation, which.sessionId, 'backup'),
    which.sessionId,
  );
  const info = await azure.runCommands.find(machine.armId, nameOf(which));
  if (info?.state === 'succeeded') return ended(null);
  const limit = `within ${scripts.timeoutMinutes} minutes`;
  if (info?.state === 'timedOut') return ended(`it did not end ${limit}.${said(info)}`);
  if (info?.state === 'failed') return ended(`it ended with exit code ${info.exitCode}.${said(info)}`);
  const age = clock.now().getTime() - Date.parse(run.startedAt);
  if (age < scripts.timeoutMinutes * 60_000 + GRACE_MS) return null;
  return ended(info ? `Azure did not report its end ${limit}.` : 'Azure does not know it any more.');
}

/** The last of what a script said, with nothing secret in it. */
function said({ output, message }: RunCommandInfo): string {
  const text = redact((output || message).replaceAll(/\s+/g, ' ').trim());
  if (text === '') return '';
  return ` It said: ${text.length > SHOWN ? `…${text.slice(-SHOWN)}` : text}`;
}

/** The names in a script. They go into a shell: whatever could mean something there becomes an underscore. */
async function fillIn(
  { catalog }: Installation,
  script: string,
  machine: string,
  sessionId: string,
): Promise<string> {
  const policy = (await catalog.sessions.get(sessionId))?.policyId ?? 'on-demand';
  const names = { machine, policy, session: sessionId };
  return script.replaceAll(/%(machine|policy|session)%/g, (_, name: keyof typeof names) =>
    names[name].replaceAll(/[^A-Za-z0-9._-]/g, '_'),
  );
}

/** Whether the guest may be waiting for the script after: nothing ran before it, or what ran there did begin. */
const isOwed = (state: BackupState, scripts: GuestScripts, set: number): boolean =>
  scripts.after !== null && (scripts.before === null || state.guest[`${set}-before`]?.began === true);

async function note(installation: Installation, which: WhichScript, run: GuestRun): Promise<void> {
  await updateState(installation, which.sessionId, 'backup', (current) => ({
    ...current,
    guest: { ...current.guest, [keyOf(which)]: run },
  }));
}

async function owe({ catalog }: Installation, which: WhichScript): Promise<void> {
  const { sessionId, set, stage } = which;
  await catalog.intents.write(sessionId, 'guest', nameOf(which), { set, stage });
}

const settle = ({ catalog }: Installation, which: WhichScript): Promise<void> =>
  catalog.intents.resolve(which.sessionId, 'guest', nameOf(which));

async function removeCommand({ azure }: Installation, which: WhichScript, state: BackupState): Promise<void> {
  const { machine } = configurationOf(state, which.sessionId);
  try {
    await azure.runCommands.startRemove(machine.armId, nameOf(which));
  } catch (error) {
    // The machine was switched off or is gone: the command goes with it, or stays as one of the 25 that it may have.
    if (!isHoldfastError(error) || error.retryable) throw error;
  }
}

/** Who cancels wants the guest awake again: only the script before asks for that. */
async function enter(installation: Installation, { sessionId, stage }: WhichScript): Promise<void> {
  if (stage === 'before') await enterStep(installation, sessionId, 'snapshot');
  else await stayAlive(installation, sessionId);
}

const keyOf = ({ set, stage }: WhichScript): string => `${set}-${stage}`;
const nameOf = ({ sessionId, set, stage }: WhichScript): string => `holdfast-${sessionId}-${set}-${stage}`;

const configurationOf = ({ opened, prepared }: BackupState, sessionId: string): MachineConfiguration =>
  need(opened ?? prepared, 'what openSession found', sessionId).configuration;

const scriptsOf = (state: BackupState, sessionId: string): GuestScripts | null =>
  guestScriptsOf(configurationOf(state, sessionId), state.request.protection);
