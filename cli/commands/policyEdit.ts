import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { HoldfastError } from '../../lib/model/index.ts';
import { type PolicyAnswer, policyAnswer } from '../answers.ts';
import type { Context } from '../context.ts';
import type { RepoSurroundings } from '../repo/surroundings.ts';
import { readPolicy } from './policyFiles.ts';
import { type Assignment, assign } from './policyPath.ts';

/** Changes a stored policy, if nobody else does so meanwhile: by the assignments, else in the person's editor. */
export async function editPolicy(
  context: Context,
  around: RepoSurroundings,
  id: string,
  changes: readonly Assignment[],
): Promise<PolicyAnswer | null> {
  const path = `policies/${encodeURIComponent(id)}`;
  const { nextSlots: _, etag, ...document } = await context.api().get(path, policyAnswer);
  const put = (changed: unknown) =>
    context.api().put(path, changed, policyAnswer, etag === undefined ? undefined : { 'if-match': etag });
  if (changes.length > 0)
    return put(changes.reduce<unknown>((before, change) => assign(before, change), document));
  if (around.stdin?.isTTY !== true || context.stdout.isTTY !== true) {
    throw new HoldfastError(
      'invalidInput',
      'There is no terminal for an editor: say what to change with --set path=value, or use "policy create --replace".',
    );
  }
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-policy-'));
  const file = join(folder, `${id}.yaml`);
  const text = stringify(document);
  writeFileSync(file, text, { mode: 0o600 });
  let kept = true;
  try {
    openEditor(around.env, file);
    if (readFileSync(file, 'utf8') === text) {
      kept = false;
      return null;
    }
    const stored = await put(await readPolicy(file, around));
    kept = false;
    return stored;
  } finally {
    // What a person wrote is not thrown away because the service refuses it.
    if (kept) context.stderr.write(`Your text is kept in ${file}\n`);
    else rmSync(folder, { recursive: true });
  }
}

/** By a shell, since people put options into EDITOR; the file's name is the shell's first argument, not part of its text. */
function openEditor(env: NodeJS.ProcessEnv, file: string): void {
  const editor = env['VISUAL'] || env['EDITOR'] || (process.platform === 'win32' ? 'notepad' : 'vi');
  const { status, error } =
    process.platform === 'win32'
      ? spawnSync(editor, [file], { stdio: 'inherit' })
      : spawnSync('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  if (error || status !== 0) {
    throw new HoldfastError(
      'invalidInput',
      `The editor "${editor}" ended ${error ? `with an error: ${error.message}` : `with exit code ${status}`}; nothing was changed.`,
    );
  }
}
