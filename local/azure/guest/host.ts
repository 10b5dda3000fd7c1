/**
 * Boots machines that carry our worker's cloud-init: their unit runs as a child process below a folder per machine.
 *
 * Promises: at most one process group per machine; no guest outlives the simulator, however that ends; a stopped machine's guest is gone
 * before `isStopping` says false. It is no virtual machine: no isolation, no kernel, and only the worker's own unit runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { guestFiles, UNIT_FOLDER, writeGuestFiles } from './cloudConfig.ts';
import { readUnit, type ServiceUnit } from './systemdUnit.ts';

export interface GuestMachine {
  id: string;
  vmId: string;
  name: string;
  customData?: string;
}

export interface GuestHostOptions {
  /** A folder per machine is made here. */
  folder: string;
  /** URL of the machine's metadata service. */
  metadataUrl: (machine: GuestMachine) => Promise<string>;
  caFile: string;
  stopGraceMs: number;
}

interface Guest {
  machine: GuestMachine;
  /** Set when the machine is being switched off. */
  stopping: boolean;
  wrapper?: ChildProcess;
  group?: number;
  retry?: NodeJS.Timeout;
  failures: number;
  ended: Promise<void>;
  end: () => void;
}

const UNIT = 'holdfast-worker.service';
const WRAPPER = fileURLToPath(new URL('wrapper.ts', import.meta.url));
const MAX_CONSOLE_BYTES = 16 * 1024 * 1024;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class GuestHost {
  private readonly guests = new Map<string, Guest>();
  private readonly options: GuestHostOptions;
  private closed = false;

  constructor(options: GuestHostOptions) {
    this.options = options;
    mkdirSync(options.folder, { recursive: true });
  }

  /** Boots the machine if it has something to run. Returns at once; trouble goes to the machine's console. */
  boot(machine: GuestMachine): void {
    if (this.closed || machine.customData === undefined || guestFiles(machine.customData) === undefined)
      return;
    const key = machine.id.toLowerCase();
    const before = this.guests.get(key);
    if (before && !before.stopping) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const guest: Guest = { machine, stopping: false, failures: 0, ended: promise, end: resolve };
    this.guests.set(key, guest);
    void (before?.ended ?? Promise.resolve())
      .then(() => this.start(guest, true))
      .catch((error: unknown) => {
        this.console(
          machine,
          `The guest cannot be started: ${error instanceof Error ? error.message : String(error)}`,
        );
        this.finish(guest);
      });
  }

  /** Begins to switch the machine off: SIGTERM, and SIGKILL after the grace. */
  stop(id: string): void {
    const guest = this.guests.get(id.toLowerCase());
    if (!guest || guest.stopping) return;
    guest.stopping = true;
    if (guest.retry) {
      clearTimeout(guest.retry);
      this.finish(guest);
    }
    guest.wrapper?.stdin?.write(`stop ${this.options.stopGraceMs}\n`);
  }

  isStopping(id: string): boolean {
    return this.guests.get(id.toLowerCase())?.stopping ?? false;
  }

  /** Process group of the running guest. */
  pid(id: string): number | undefined {
    return this.guests.get(id.toLowerCase())?.group;
  }

  /** Machines whose guest has not ended. */
  running(): string[] {
    return [...this.guests.values()].map((guest) => guest.machine.id);
  }

  consoleFile(machine: Pick<GuestMachine, 'vmId'>): string {
    return join(this.root(machine), 'console.log');
  }

  /** Removes the machine's folder when its guest has ended. */
  forget(machine: Pick<GuestMachine, 'id' | 'vmId'>): void {
    this.stop(machine.id);
    const gone = this.guests.get(machine.id.toLowerCase())?.ended ?? Promise.resolve();
    void gone.then(() => rmSync(this.root(machine), { recursive: true, force: true }));
  }

  /** Switches everything off and waits for it. */
  async close(): Promise<void> {
    this.closed = true;
    const guests = [...this.guests.values()];
    for (const guest of guests) this.stop(guest.machine.id);
    await Promise.all(guests.map((guest) => guest.ended));
  }

  private root(machine: Pick<GuestMachine, 'vmId'>): string {
    return join(this.options.folder, machine.vmId);
  }

  private async start(guest: Guest, isBoot: boolean): Promise<void> {
    const { machine } = guest;
    const root = this.root(machine);
    if (isBoot) this.firstBoot(machine, root);
    const unitFile = join(root, UNIT_FOLDER, UNIT);
    if (!existsSync(unitFile)) {
      this.console(machine, `The cloud-config writes no ${UNIT_FOLDER}/${UNIT}: nothing to run.`);
      return this.finish(guest);
    }
    const unit = readUnit(unitFile);
    const metadata = await this.options.metadataUrl(machine);
    if (guest.stopping) return this.finish(guest);
    this.run(guest, unit, [...unit.startPre, unit.start], this.environment(root, unit, metadata));
  }

  private firstBoot(machine: GuestMachine, root: string): void {
    const marker = join(root, '.first-boot-done');
    mkdirSync(join(root, 'root'), { recursive: true });
    mkdirSync(join(root, 'tmp'), { recursive: true });
    const log = this.consoleFile(machine);
    if (existsSync(log) && statSync(log).size > MAX_CONSOLE_BYTES) truncateSync(log, 0);
    this.console(machine, `Booting ${machine.name}.`);
    if (existsSync(marker)) return;
    const left = writeGuestFiles(guestFiles(machine.customData as string) ?? [], root);
    for (const path of left)
      this.console(machine, `Not written: ${path} is outside of the folders that a guest has here.`);
    writeFileSync(marker, '');
  }

  /** Runs the commands one after the other; the last is the service. */
  private run(guest: Guest, unit: ServiceUnit, commands: string[][], env: Record<string, string>): void {
    const [command, ...rest] = commands as [string[], ...string[][]];
    const output = openSync(this.consoleFile(guest.machine), 'a');
    const wrapper = spawn(process.execPath, [WRAPPER, ...command], {
      cwd: unit.workingDirectory ?? this.root(guest.machine),
      env,
      stdio: ['pipe', 'pipe', output],
    });
    closeSync(output);
    guest.wrapper = wrapper;
    wrapper.stdin?.on('error', () => undefined);
    if (wrapper.stdout) {
      createInterface({ input: wrapper.stdout }).on('line', (line) => {
        guest.group = Number(line);
      });
    }
    wrapper.once('error', (error) => this.console(guest.machine, error.message));
    wrapper.once('close', (code) => {
      // A wrapper that was killed could not take the guest with it.
      if (code === null && guest.group !== undefined) killGroup(guest.group);
      delete guest.wrapper;
      delete guest.group;
      if (guest.stopping) return this.finish(guest);
      if (rest.length > 0 && code === 0) return this.run(guest, unit, rest, env);
      this.ended(guest, unit, code);
    });
    if (guest.stopping) wrapper.stdin?.write(`stop ${this.options.stopGraceMs}\n`);
  }

  private ended(guest: Guest, unit: ServiceUnit, code: number | null): void {
    this.console(guest.machine, `${UNIT} ended with ${code ?? 'a signal'}.`);
    const again = unit.restart === 'always' || (unit.restart === 'on-failure' && code !== 0);
    if (!again) return this.finish(guest);
    const delay = Math.min(200 * 2 ** guest.failures, 5_000);
    guest.failures += 1;
    guest.retry = setTimeout(() => {
      delete guest.retry;
      this.start(guest, false).catch((error: unknown) => {
        this.console(
          guest.machine,
          `The guest cannot be started again: ${error instanceof Error ? error.message : String(error)}`,
        );
        this.finish(guest);
      });
    }, delay);
  }

  private finish(guest: Guest): void {
    const key = guest.machine.id.toLowerCase();
    if (this.guests.get(key) === guest) this.guests.delete(key);
    guest.end();
  }

  /** Nothing of the simulator's own environment reaches the guest. */
  private environment(root: string, unit: ServiceUnit, metadata: string): Record<string, string> {
    const { caFile } = this.options;
    return {
      PATH: `${dirname(process.execPath)}:${SYSTEM_PATH}`,
      HOME: join(root, 'root'),
      TMPDIR: join(root, 'tmp'),
      LANG: 'C.UTF-8',
      AZURE_POD_IDENTITY_AUTHORITY_HOST: metadata,
      NODE_EXTRA_CA_CERTS: caFile,
      CURL_CA_BUNDLE: caFile,
      SSL_CERT_FILE: caFile,
      ...unit.environment,
    };
  }

  private console(machine: GuestMachine, line: string): void {
    mkdirSync(this.root(machine), { recursive: true });
    const file = openSync(this.consoleFile(machine), 'a');
    writeSync(file, `[simulator] ${line}\n`);
    closeSync(file);
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
