import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { HoldfastError } from '../lib/model/index.ts';

/** Where the service is, and the function key that opens it. `url` has no trailing slash and no `/api`. */
export interface Connection {
  readonly url: string;
  readonly key: string | undefined;
}

const runFileSchema = z.object({ url: z.url(), key: z.string().optional() });
const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));

const tidy = (url: string): string => url.replace(/\/+$/, '').replace(/\/api$/, '');

/** The state folders in which a local run may have left its `run.json`: given, in `cwd` and above, in the project. */
function runFiles(env: NodeJS.ProcessEnv, cwd: string): string[] {
  if (env.HOLDFAST_STATE) return [join(resolve(cwd, env.HOLDFAST_STATE), 'run.json')];
  const folders: string[] = [];
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    folders.push(folder);
    if (dirname(folder) === folder) break;
  }
  return [...folders, PROJECT].map((folder) => join(folder, '.holdfast', 'run.json'));
}

/**
 * Finds the service: `url` (the option), `HOLDFAST_URL`, or the file that a local run leaves. The key of that file goes
 * only to the URL of that file, never to another one. Throws `notConfigured` when there is none.
 */
export function findConnection(url: string | undefined, env: NodeJS.ProcessEnv, cwd: string): Connection {
  const given = url ?? env.HOLDFAST_URL;
  if (given) {
    if (!/^https?:\/\/[^/]/.test(given)) {
      throw new HoldfastError(
        'invalidInput',
        `"${given}" is not an address: it begins with http:// or https://.`,
      );
    }
    return { url: tidy(given), key: env.HOLDFAST_KEY };
  }
  for (const file of runFiles(env, cwd)) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') {
        throw new HoldfastError(
          'forbidden',
          `${file} belongs to another user: set HOLDFAST_URL and HOLDFAST_KEY.`,
        );
      }
      continue;
    }
    const run = runFileSchema.safeParse(parseJson(text));
    if (!run.success) {
      throw new HoldfastError('notConfigured', `${file} is damaged: stop the local run and start it again.`);
    }
    return { url: tidy(run.data.url), key: env.HOLDFAST_KEY ?? run.data.key };
  }
  throw new HoldfastError(
    'notConfigured',
    'No Holdfast found. Start one with "npm start" in the project, or set HOLDFAST_URL and HOLDFAST_KEY.',
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
