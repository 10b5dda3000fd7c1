import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the project. */
export const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * The folder in which a local run keeps everything: `.holdfast` in the project, or `HOLDFAST_STATE`. Only its owner can read
 * it, because keys are in it. Removing it (while nothing runs) begins anew.
 */
export class StateFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
  }

  static ofEnvironment(env: NodeJS.ProcessEnv): StateFolder {
    return new StateFolder(env.HOLDFAST_STATE || join(PROJECT, '.holdfast'));
  }

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** A folder below, made when it is missing. */
  folder(name: string): string {
    mkdirSync(this.file(name), { recursive: true, mode: 0o700 });
    return this.file(name);
  }

  /** The content of a JSON file; undefined when it is missing or was cut short. The caller checks its shape. */
  read(name: string): unknown {
    try {
      return JSON.parse(readFileSync(this.file(name), 'utf8'));
    } catch {
      return undefined;
    }
  }

  /** Replaces a JSON file in one step, readable by its owner only. */
  write(name: string, value: unknown): void {
    const temporary = this.file(`${name}.new`);
    writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
    renameSync(temporary, this.file(name));
  }

  remove(name: string): void {
    rmSync(this.file(name), { force: true, recursive: true });
  }
}
