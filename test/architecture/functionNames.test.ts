import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { activities } from '../../activities/index.ts';

const folder = (name: string): URL => new URL(`../../${name}/`, import.meta.url);
const filesOf = (name: string): string[] => readdirSync(folder(name)).filter((file) => file.endsWith('.ts'));

/** What the app registers: routes and timers by what their files say, activities and orchestrators by their files. */
function registered(): string[] {
  const routes = filesOf('functions').flatMap((file) => {
    const text = readFileSync(new URL(file, folder('functions')), 'utf8');
    const named = text.matchAll(/\broute\(\{\s*name: '(\w+)'/g);
    const timers = text.matchAll(/\bapp\.timer\('(\w+)'/g);
    return [...named, ...timers].map(([, name = '']) => name);
  });
  const durable = readFileSync(new URL('durable.ts', folder('functions')), 'utf8');
  const orchestrators = filesOf('orchestrators')
    .map((file) => file.replace('.ts', ''))
    .filter((name) => durable.includes(`orchestrators/${name}.ts`));
  return [...routes, ...orchestrators, ...activities.map(({ name }) => name)];
}

test('each function of the app has a name of its own: the host refuses to start with two of one name', () => {
  const names = registered().map((name) => name.toLowerCase());
  expect(names.length).toBeGreaterThan(80);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});
