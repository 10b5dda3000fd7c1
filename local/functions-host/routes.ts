/**
 * Route templates of HTTP triggers, as ASP.NET reads them: `policies/{id}`, `{n:int:min(1)}`, `{id?}`,
 * `{n=5}`, `{*rest}`. Literals are matched without regard to case. Constraints that are not known here are
 * refused when the app is loaded, not ignored.
 */
export interface Route {
  template: string;
  /** Sorts the more specific route first; compare with `compareRoutes`. */
  precedence: number[];
  /** The parameters of a path (decoded segments), or undefined when it is another route's. */
  match(segments: readonly string[]): Record<string, string> | undefined;
}

interface Segment {
  literal?: string;
  name?: string;
  rest?: boolean;
  optional?: boolean;
  fallback?: string | undefined;
  tests: ((value: string) => boolean)[];
}

/** Compiles a template; throws when it is malformed or has an unknown constraint. */
export function compileRoute(template: string): Route {
  const segments = template
    .replace(/^\/+|\/+$/g, '')
    .split(/\/(?![^{]*\})/)
    .filter((part) => part !== '')
    .map((part) => parseSegment(part, template));
  return {
    template,
    precedence: segments.map(rank),
    match: (path) => matchSegments(segments, path),
  };
}

/** Negative when `a` is to be tried before `b`. */
export function compareRoutes(a: Route, b: Route): number {
  for (let i = 0; i < Math.max(a.precedence.length, b.precedence.length); i++) {
    const difference = (a.precedence[i] ?? 0) - (b.precedence[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function rank(segment: Segment): number {
  if (segment.literal !== undefined) return 1;
  if (segment.rest) return 5;
  return segment.tests.length > 0 ? 2 : 3;
}

function parseSegment(part: string, template: string): Segment {
  if (!part.includes('{') && !part.includes('}')) return { literal: part.toLowerCase(), tests: [] };
  const match = /^\{(\*{0,2})([a-z_]\w*)((?::[^=]+?)?)(=[^}]*)?(\?)?\}$/i.exec(part);
  if (!match)
    throw new Error(`The route "${template}" is not supported: "${part}" mixes text and parameters.`);
  const [, stars = '', name = '', constraints = '', fallback, question] = match;
  return {
    name,
    rest: stars !== '',
    optional: question !== undefined || fallback !== undefined || stars !== '',
    fallback: fallback?.slice(1),
    tests: splitConstraints(constraints, template).map((text) => constraint(text, template)),
  };
}

/** `:int:regex(^a:b$)` in its parts; a colon in brackets divides nothing. */
function splitConstraints(text: string, template: string): string[] {
  const parts = [...text.matchAll(/:([a-z]+(?:\((?:[^()]|\([^()]*\))*\))?)/gi)].map(
    (found) => found[1] ?? '',
  );
  if (parts.map((part) => `:${part}`).join('') !== text) {
    throw new Error(`The route "${template}" has the malformed constraint "${text}".`);
  }
  return parts;
}

function constraint(text: string, template: string): (value: string) => boolean {
  const [, name = '', args = ''] = /^([a-z]+)(?:\((.*)\))?$/i.exec(text) ?? [];
  const [first = Number.NaN, second = first] = args.split(',').map(Number);
  const whole = (value: string): boolean => /^-?\d+$/.test(value);
  switch (name.toLowerCase()) {
    case 'int':
      return (value) => whole(value) && Math.abs(Number(value)) <= 2 ** 31;
    case 'long':
      return whole;
    case 'bool':
      return (value) => /^(true|false)$/i.test(value);
    case 'decimal':
    case 'double':
    case 'float':
      return (value) => /^-?\d+(\.\d+)?$/.test(value);
    case 'guid':
      return (value) => /^\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i.test(value);
    case 'datetime':
      return (value) => !Number.isNaN(Date.parse(value));
    case 'alpha':
      return (value) => /^[a-z]*$/i.test(value);
    case 'required':
      return (value) => value !== '';
    case 'min':
      return (value) => whole(value) && Number(value) >= first;
    case 'max':
      return (value) => whole(value) && Number(value) <= first;
    case 'range':
      return (value) => whole(value) && Number(value) >= first && Number(value) <= second;
    case 'length':
      return (value) => value.length >= first && value.length <= second;
    case 'minlength':
      return (value) => value.length >= first;
    case 'maxlength':
      return (value) => value.length <= first;
    case 'regex': {
      const pattern = new RegExp(args.replaceAll('{{', '{').replaceAll('}}', '}'), 'i');
      return (value) => pattern.test(value);
    }
    default:
      throw new Error(`The route "${template}" has the constraint "${text}", which is not supported.`);
  }
}

function matchSegments(
  segments: readonly Segment[],
  path: readonly string[],
): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    if (segment.rest) {
      const rest = path.slice(index).join('/');
      if (rest !== '' && !segment.tests.every((test) => test(rest))) return undefined;
      params[segment.name ?? ''] = rest === '' ? (segment.fallback ?? '') : rest;
      return params;
    }
    const value = path[index];
    if (value === undefined) {
      if (!segment.optional) return undefined;
      if (segment.fallback !== undefined) params[segment.name ?? ''] = segment.fallback;
    } else if (segment.name === undefined) {
      if (segment.literal !== value.toLowerCase()) return undefined;
    } else {
      if (!segment.tests.every((test) => test(value))) return undefined;
      params[segment.name] = value;
    }
  }
  return path.length > segments.length ? undefined : params;
}
