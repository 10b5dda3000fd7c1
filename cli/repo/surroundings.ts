import type { Writable } from 'node:stream';
import type { PromptInput } from './prompt.ts';

/** What `holdfast repo` needs of the world, beyond what every command needs. */
export interface RepoSurroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Where a person can be asked for the password; asked only when it is a terminal. */
  readonly stdin?: PromptInput | undefined;
  /** Stdout as a stream of bytes, for `--output -`. Who asks for it handles its errors. */
  readonly bytesOut?: (() => Writable) | undefined;
}
