/**
 * Bundles what is deployed: `dist/app.mjs`, the Function App's one entry file, and `dist/worker.mjs`, the program on a
 * worker VM. Both are ESM for Node 24, with source maps; the app leaves out only `@azure/functions-core`, which the host
 * injects, so that a deployment needs no node_modules.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';

const ROOT = fileURLToPath(new URL('.', import.meta.url));

/** CommonJS dependencies inside an ESM bundle ask for these. `var`: a module of the bundle may declare the name as well. */
const BANNER = [
  "import { createRequire as __createRequire } from 'node:module';",
  'var require = __createRequire(import.meta.url);',
].join('\n');

const COMMON: BuildOptions = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  banner: { js: BANNER },
  define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
  // Stack traces go through the source maps; names stay readable without them.
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  // Stack traces and zod's messages keep the names of the source.
  keepNames: true,
  legalComments: 'none',
  logLevel: 'warning',
};

const BUNDLES = {
  app: { entryPoints: { app: 'functions/main.ts' }, external: ['@azure/functions-core'] },
  worker: { entryPoints: { worker: 'worker/main.ts' } },
} as const satisfies Record<string, BuildOptions>;
export type BundleName = keyof typeof BUNDLES;

/** Writes the named bundles to `outdir` (default: `dist` in the project). Throws when a source does not compile. */
export async function buildBundles(
  names: readonly BundleName[] = ['app', 'worker'],
  outdir: string = `${ROOT}dist`,
): Promise<void> {
  await Promise.all(names.map((name) => build({ ...COMMON, ...BUNDLES[name], outdir })));
}

if (import.meta.main) {
  const started = performance.now();
  const names: BundleName[] = (['app', 'worker'] as const).filter((name) =>
    existsSync(`${ROOT}${Object.values(BUNDLES[name].entryPoints)[0]}`),
  );
  await buildBundles(names);
  console.log(
    `${names.map((name) => `dist/${name}.mjs`).join(', ')} in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
}
