import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type GuestScripts,
  type Machine,
  MiB,
  protectionSchema,
  restorePointName,
  type Session,
} from '../../lib/model/index.ts';
import { needMachine, requestBackup, sweep } from '../../lib/sessions/index.ts';
import { GROUP, Lab, SUBSCRIPTION } from './lab.ts';
import { Terminated } from './runOrchestrator.ts';

/** Where the scripts of these tests write, of the simulated guest's words (local/azure/guest/scripts.ts). */
const AT = 8 * MiB;
const QUIET = `write-disk ${AT} quiet`;
const AWAKE = `write-disk ${AT} awake`;

describe('scripts in the guest around the snapshots', () => {
  let lab: Lab;
  let made = 0;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  async function machineOf(
    options: { running?: boolean; osType?: 'Linux' | 'Windows' } = {},
  ): Promise<Machine> {
    const name = `guest-${++made}`;
    const { osType = 'Linux', running = true } = options;
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name,
      location: 'westeurope',
      running,
      osDisk: { sizeBytes: 64 * MiB, osType },
      dataDisks: [{ sizeBytes: 32 * MiB }],
    });
    return needMachine(lab.installation, name);
  }
  const ask = (machine: Machine, linux: Partial<GuestScripts>, windows?: Partial<GuestScripts>) =>
    requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({
        mover: 'inline',
        consistency: { scripts: { linux, ...(windows ? { windows } : {}) } },
      }),
      reason: 'test',
      policyId: 'nightly',
      parentId: null,
    });
  async function backUp(...asked: Parameters<typeof ask>): Promise<Session> {
    const { id } = await ask(...asked);
    await lab.run();
    return lab.session(id);
  }
  const osDisk = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks[0]?.id ?? '';
  const marked = async (diskId: string) =>
    (await lab.simulator.readDisk({ diskId, offset: AT, length: 5 })).toString();
  const ran = (machine: Machine) =>
    lab.simulator.guestScripts({ machineId: machine.armId }).map(({ name }) => name.replace(/^.*-\d-/, ''));
  const commands = (machine: Machine) =>
    lab.simulator
      .requests({ path: `${machine.name}/runCommands/` })
      .filter(({ method }) => method === 'PUT' || method === 'DELETE')
      .map(({ method }) => method);
  /** Nothing of the session is left to be given back. */
  const left = (session: Session) => lab.installation.catalog.intents.list(session.id);

  it('the snapshots show the guest quiet, and afterwards it is awake; the names are filled in', async () => {
    const machine = await machineOf();
    const session = await backUp(machine, {
      before: `# %machine% %policy% %session%\n${QUIET}`,
      after: AWAKE,
    });
    expect(session).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(ran(machine)).toEqual(['before', 'after']);
    expect(lab.simulator.guestScripts({ machineId: machine.armId })[0]?.script).toBe(
      `# ${machine.name} nightly ${session.id}\n${QUIET}`,
    );
    expect(await marked(await osDisk(machine))).toBe('awake');
    const point = session.restorePoint ?? { chainId: '', sequence: 0 };
    const restored = await lab.restore({ restorePoint: restorePointName(point) });
    const name = restored.disks.find(({ number }) => number === 0)?.name ?? '';
    expect(await marked((await osDisk(machine)).replace(/disks\/[^/]+$/, `disks/${name}`))).toBe('quiet');
    expect(commands(machine)).toEqual(['PUT', 'DELETE', 'PUT', 'DELETE']);
    expect(await left(session)).toEqual([]);
  });

  it('each system has its own, and a machine that does not run has none', async () => {
    const windows = await machineOf({ osType: 'Windows' });
    await backUp(windows, { before: 'echo linux' }, { before: 'echo windows' });
    const scripts = lab.simulator.guestScripts({ machineId: windows.armId });
    expect(scripts.map(({ script }) => script)).toEqual(['echo windows']);
    const off = await machineOf({ running: false });
    expect(await backUp(off, { before: 'exit 1' })).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(ran(off)).toEqual([]);
  });

  it('one that fails stops the backup with its exit code and its last words, and the guest is woken all the same', async () => {
    const machine = await machineOf();
    const before = `${QUIET}\necho password=hunter22 could not flush\nexit 3`;
    const session = await backUp(machine, { before, after: AWAKE });
    expect(session).toMatchObject({ status: 'failed', error: { code: 'guestScriptFailed' } });
    expect(session.error?.message).toMatch(
      /The script before the snapshots of machine guest-\d+ failed: it ended with exit code 3. It said: .*could not flush/,
    );
    expect(JSON.stringify(session)).not.toContain('hunter22');
    expect(ran(machine)).toEqual(['before', 'after']);
    expect(await marked(await osDisk(machine))).toBe('awake');
    expect(await left(session)).toEqual([]);
  });

  it('or, where the policy says so, warns and goes on', async () => {
    const machine = await machineOf();
    const session = await backUp(machine, {
      before: 'exit 4',
      after: `warn ${'x'.repeat(3000)} the end\nexit 5`,
      ifItFails: 'continue',
    });
    expect(session).toMatchObject({ status: 'warning', restorePoint: { sequence: 1 } });
    expect(session.warnings).toEqual([
      expect.stringContaining('exit code 4') as string,
      expect.stringMatching(/exit code 5. It said: …x+ the end$/) as string,
    ]);
    // The last of it, not all of it.
    expect(session.warnings[1]?.length).toBeLessThan(600);
  });

  it('the guest is woken when a snapshot fails', async () => {
    const machine = await machineOf();
    const id = lab.simulator.faults.inject({
      match: { method: 'PUT', path: '/snapshots/holdfast-' },
      effect: { kind: 'respond', status: 400, code: 'BadSource', message: 'no' },
      times: 2,
    });
    const session = await backUp(machine, { before: QUIET, after: AWAKE });
    expect(session.status).toBe('failed');
    expect(lab.simulator.faults.unfired().map((fault) => fault.id)).not.toContain(id);
    expect(ran(machine)).toEqual(['before', 'after']);
    expect(await marked(await osDisk(machine))).toBe('awake');
  });

  it('one that does not end in its time is given up', async () => {
    const machine = await machineOf();
    const session = await backUp(machine, { before: 'sleep 3600', after: AWAKE, timeoutMinutes: 1 });
    expect(session.error).toMatchObject({
      code: 'guestScriptFailed',
      message: expect.stringContaining('did not end within 1 minutes') as string,
    });
    expect(await marked(await osDisk(machine))).toBe('awake');
  });

  it('without a guest agent nothing runs, and the failure says what is missing', async () => {
    const machine = await machineOf();
    lab.simulator.setGuestAgent({ machineId: machine.armId, present: false });
    const session = await backUp(machine, { before: QUIET, after: AWAKE });
    expect(session.error).toMatchObject({
      code: 'guestScriptFailed',
      message: expect.stringMatching(
        /VMAgentStatusCommunicationError.*has not reported status for VM agent/,
      ) as string,
    });
    expect(ran(machine)).toEqual([]);
    expect(await backUp(machine, { before: QUIET, after: AWAKE, ifItFails: 'continue' })).toMatchObject({
      status: 'warning',
      restorePoint: { sequence: 2 },
    });
  });

  it('a cancel while the guest is quiet wakes it', async () => {
    const machine = await machineOf();
    const { id } = await ask(machine, { before: `${QUIET}\nsleep 300`, after: AWAKE });
    lab.beforeActivity = async (name) => {
      if (name !== 'watchGuestScript') return;
      await lab.installation.catalog.sessions.update(id, (session) => ({
        ...session,
        cancelRequested: true,
      }));
    };
    await lab.run();
    lab.beforeActivity = () => undefined;
    const session = await lab.session(id);
    expect(session.status).toBe('cancelled');
    expect(ran(machine)).toEqual(['before', 'after']);
    expect(await marked(await osDisk(machine))).toBe('awake');
    expect(await left(session)).toEqual([]);
  });

  it('an orchestration that dies while the guest is quiet leaves the waking to the sweep', async () => {
    const machine = await machineOf();
    const { id } = await ask(machine, { before: QUIET, after: AWAKE });
    lab.beforeActivity = (name) => {
      if (name === 'snapshotDisk') throw new Terminated(name);
    };
    await lab.run();
    lab.beforeActivity = () => undefined;
    expect(await marked(await osDisk(machine))).toBe('quiet');
    await sweep(lab.installation, lab.instances);
    expect(ran(machine)).toEqual(['before', 'after']);
    expect(await marked(await osDisk(machine))).toBe('awake');
    await sweep(lab.installation, lab.instances);
    expect(await left(await lab.session(id))).toEqual([]);
    expect(commands(machine)).toEqual(['PUT', 'DELETE', 'PUT', 'DELETE']);
  });
});
