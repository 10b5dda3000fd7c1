import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Document, isMap, parseAllDocuments } from 'yaml';
import { HoldfastError } from '../../lib/model/index.ts';
import type { RepoSurroundings } from '../repo/surroundings.ts';

/** Where documents come from. */
export type Reading = Pick<RepoSurroundings, 'cwd' | 'stdin'>;

/**
 * The policies of a file, JSON or YAML (of which JSON is a part): one policy, a list, `policies:` with a list, or several
 * documents with `---` between them. `-` is standard input.
 */
export async function readPolicies(file: string, around: Reading): Promise<unknown[]> {
  const where = file === '-' ? 'standard input' : file;
  const documents = parseAllDocuments(await textOf(file, around)) as Document[];
  const found = documents.flatMap((document) => {
    const [problem] = document.errors;
    if (problem)
      throw new HoldfastError('invalidInput', `${where} is neither JSON nor YAML: ${problem.message}`, {
        target: file,
      });
    const listed = isMap(document.contents) && document.contents.has('policies');
    const value: unknown = document.toJS();
    const content = listed ? (value as { policies: unknown }).policies : value;
    return Array.isArray(content) ? (content as unknown[]) : content === null ? [] : [content];
  });
  if (found.length > 0) return found;
  throw new HoldfastError('invalidInput', `There is no policy in ${where}.`, { target: file });
}

/** The one policy of a file. */
export async function readPolicy(file: string, around: Reading): Promise<unknown> {
  const [policy, ...more] = await readPolicies(file, around);
  if (more.length === 0) return policy;
  throw new HoldfastError(
    'invalidInput',
    `There are ${more.length + 1} policies in ${file}; "holdfast policy import" takes several.`,
    { target: file },
  );
}

/** The id that a document gives itself. */
export function idIn(document: unknown): string {
  const id = (document as { id?: unknown } | null)?.id;
  if (typeof id === 'string') return id;
  throw new HoldfastError('invalidInput', 'The policy has no id.', { target: 'id' });
}

/** The text of a file, or of standard input (`-`). */
export async function textOf(file: string, { cwd, stdin }: Reading): Promise<string> {
  if (file !== '-') {
    try {
      return await readFile(resolve(cwd, file), 'utf8');
    } catch (cause) {
      const why =
        (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(cause);
      throw new HoldfastError('invalidInput', `${file} cannot be read: ${why}.`, { target: file, cause });
    }
  }
  if (!stdin) throw new HoldfastError('invalidInput', 'There is no standard input.', { target: '-' });
  stdin.setEncoding('utf8');
  return new Promise((done) => {
    let text = '';
    stdin.on('data', (more) => {
      text += more;
    });
    stdin.on('end', () => done(text));
    stdin.resume();
  });
}
