/** Routes of the resource manager: literal segments match without regard to case, `{name}` takes one segment. */
export interface RouteMatch<H> {
  handler: H;
  params: Record<string, string>;
}

interface Route<H> {
  method: string;
  segments: string[];
  handler: H;
}

const split = (path: string) => path.split('/').filter((segment) => segment !== '');

export class Router<H> {
  private readonly routes: Route<H>[] = [];

  add(method: string, pattern: string, handler: H): void {
    this.routes.push({ method, segments: split(pattern), handler });
  }

  /** The route for this path, or the methods that the path has (empty: no such path). */
  find(method: string, path: string): RouteMatch<H> | { methods: string[] } {
    const segments = split(path).map((segment) => decodeURIComponent(segment));
    const methods: string[] = [];
    for (const route of this.routes) {
      const params = matchSegments(route.segments, segments);
      if (!params) continue;
      if (route.method === method) return { handler: route.handler, params };
      methods.push(route.method);
    }
    return { methods };
  }
}

function matchSegments(pattern: string[], segments: string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] as string;
    if (part.startsWith('{')) params[part.slice(1, -1)] = segment;
    else if (part.toLowerCase() !== segment.toLowerCase()) return undefined;
  }
  return params;
}
