/**
 * Lays out `dist/deploy`, the folder that is zipped for the Function App: the bundle, host.json, and a package.json that
 * names the entry. Run after `npm run build`; azure.yaml does.
 */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Stages what was built in `<root>/dist`, replacing what an earlier run left. Throws when there is no bundle. */
export async function stage(root: string): Promise<void> {
  const from = join(root, 'dist');
  const to = join(from, 'deploy');
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  for (const file of ['app.mjs', 'app.mjs.map']) await cp(join(from, file), join(to, file));
  await cp(join(root, 'host.json'), join(to, 'host.json'));
  const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  const manifest = { name, version, private: true, type: 'module', main: 'app.mjs' };
  await writeFile(join(to, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

if (import.meta.main) await stage(join(import.meta.dirname, '..'));
