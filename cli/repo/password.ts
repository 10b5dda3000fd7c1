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

const NEW_VARIABLE = 'HOLDFAST_REPOSITORY_NEW_PASSWORD';

/** A password that is to open the repository from now on: in a file, in the environment, or typed twice. Never empty. */
export async function newPassword(
  file: string | undefined,
  context: Context,
  around: RepoSurroundings,
): Promise<string> {
  const given = file === undefined ? around.env[NEW_VARIABLE] : await givenPassword(file, around);
  if (given) return given;
  const { stdin } = around;
  if (!stdin?.isTTY) {
    throw new HoldfastError(
      'notConfigured',
      `Which new password? Give it with --new-password-file <file> or in ${NEW_VARIABLE}; on a terminal you are asked for it.`,
    );
  }
  const first = await askHidden(stdin, context.stderr, 'New password: ', context.signal);
  const again = await askHidden(stdin, context.stderr, 'The same again: ', context.signal);
  if (first === again && first !== '') return first;
  throw new HoldfastError(
    'invalidInput',
    first === '' ? 'The new password is empty.' : 'The two are not the same; nothing was changed.',
  );
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
