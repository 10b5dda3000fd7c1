import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HoldfastError } from '../../lib/model/index.ts';
import type { Context } from '../context.ts';
import { askHidden } from './prompt.ts';
import type { RepoSurroundings } from './surroundings.ts';

const VARIABLE = 'HOLDFAST_REPOSITORY_PASSWORD';
const WAYS = `Give it with --password-file <file> or in ${VARIABLE}; on a terminal you are asked for it.`;

/** The password that was given: in a file (without its last line end), or in the environment. Null when in neither. */
export async function givenPassword(
  file: string | undefined,
  { env, cwd }: RepoSurroundings,
): Promise<string | null> {
  if (file === undefined) return env[VARIABLE] ? env[VARIABLE] : null;
  let text: string;
  try {
    text = await readFile(resolve(cwd, file), 'utf8');
  } catch (error) {
    throw new HoldfastError('invalidInput', `The password file ${file}: ${(error as Error).message}.`, {
      target: file,
    });
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '') {
    throw new HoldfastError('invalidInput', `The password file ${file} is empty.`, { target: file });
  }
  return password;
}

/** Asks for the password of an encrypted repository. `notConfigured` where nobody can be asked. */
export async function askPassword(
  where: string,
  context: Context,
  { stdin }: RepoSurroundings,
): Promise<string> {
  if (!stdin?.isTTY) {
    throw new HoldfastError(
      'notConfigured',
      `The repository in ${where} is encrypted and needs its password. ${WAYS}`,
    );
  }
  return askHidden(stdin, context.stderr, `Password of the repository in ${where}: `, context.signal);
}
