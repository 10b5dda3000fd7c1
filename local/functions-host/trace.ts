import { randomBytes } from 'node:crypto';

const pattern = /^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$/;

/** A W3C traceparent for a new span: in the trace of `parent` when that is one, else in a new trace. */
export function childTraceParent(parent: string | null | undefined): string {
  const match = parent ? pattern.exec(parent) : undefined;
  const trace = match?.[1] ?? randomBytes(16).toString('hex');
  return `00-${trace}-${randomBytes(8).toString('hex')}-${match?.[2] ?? '01'}`;
}
