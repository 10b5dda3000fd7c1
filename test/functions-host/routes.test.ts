import { expect, test } from 'vitest';
import { compareRoutes, compileRoute } from '../../local/functions-host/routes.ts';

const match = (template: string, path: string): Record<string, string> | undefined =>
  compileRoute(template).match(path.split('/').filter((part) => part !== ''));

test.each([
  ['policies/{id}', 'policies/a', { id: 'a' }],
  ['policies/{id}', 'POLICIES/A', { id: 'A' }],
  ['policies/{id}', 'policies', undefined],
  ['policies/{id}', 'policies/a/b', undefined],
  ['policies/{id?}', 'policies', {}],
  ['policies/{id=all}', 'policies', { id: 'all' }],
  ['files/{*rest}', 'files/a/b', { rest: 'a/b' }],
  ['files/{*rest}', 'files', { rest: '' }],
  ['n/{n:int}', 'n/12', { n: '12' }],
  ['n/{n:int}', 'n/12x', undefined],
  ['n/{n:int:range(1,9)}', 'n/10', undefined],
  ['n/{n:int:min(1)?}', 'n', {}],
  ['g/{g:guid}', 'g/0b9e2a1c-5a4e-4b0e-9a55-0a1b2c3d4e5f', { g: '0b9e2a1c-5a4e-4b0e-9a55-0a1b2c3d4e5f' }],
  ['a/{a:alpha:length(2,3)}', 'a/abcd', undefined],
  [String.raw`r/{r:regex(^(a|b)\d{{2}}$)}`, 'r/a12', { r: 'a12' }],
  [String.raw`r/{r:regex(^(a|b)\d{{2}}$)}`, 'r/c12', undefined],
])('%s and /%s', (template, path, params) => {
  expect(match(template, path)).toEqual(params);
});

test('the more specific of two routes comes first', () => {
  const sorted = ['a/{x}', 'a/{*x}', 'a/b', '{x}/b', 'a/{x:int}'].map(compileRoute).sort(compareRoutes);
  expect(sorted.map((route) => route.template)).toEqual(['a/b', 'a/{x:int}', 'a/{x}', 'a/{*x}', '{x}/b']);
});

test.each(['a-{x}', '{x}.{y}', '{x:colour}', '{x:int(}'])('the route %s is refused by name', (template) => {
  expect(() => compileRoute(template)).toThrow(template);
});
