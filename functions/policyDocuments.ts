import { parse, stringify } from 'yaml';
import { HoldfastError, type Policy, policyIdSchema } from '../lib/model/index.ts';
import type { Finding } from '../lib/sessions/index.ts';
import type { Call } from './http.ts';

/** Documents of policies as they travel: JSON or YAML in and out, and what is said about them. */

export function policyIdOf({ params }: Call): string {
  const parsed = policyIdSchema.safeParse(params['id']);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues[0]?.message;
  throw new HoldfastError('invalidInput', `"${params['id']}" cannot be the id of a policy: ${why}.`, {
    target: 'id',
  });
}

/** The body: YAML where the content type says so, else JSON. */
export async function documentOf({ request }: Call): Promise<unknown> {
  const text = await request.text();
  const yaml = /\byaml\b/i.test(request.headers.get('content-type') ?? '');
  try {
    return yaml ? (parse(text) as unknown) : (JSON.parse(text === '' ? '{}' : text) as unknown);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new HoldfastError('invalidInput', `The body is not ${yaml ? 'YAML' : 'JSON'}: ${why}`, { cause });
  }
}

/** The wanted form of an export; null: none is wanted. */
export function exportFormat({ query }: Call): 'json' | 'yaml' | null {
  const format = query.get('format');
  if (format === null || format === 'json' || format === 'yaml') return format;
  throw new HoldfastError('invalidInput', `The format is json or yaml, not ${format}.`, { target: 'format' });
}

/** A document for a file: one policy, or several as `{ policies: [...] }`, which an import takes. */
export function exported(document: Policy | { policies: readonly Policy[] }, format: 'json' | 'yaml') {
  const yaml = format === 'yaml';
  return {
    status: 200,
    headers: { 'content-type': yaml ? 'application/yaml' : 'application/json' },
    body: yaml ? stringify(document) : `${JSON.stringify(document, null, 2)}\n`,
  };
}

/** 400 with every finding: Azure's envelope has a place for more than one. */
export const refusedDocuments = (findings: readonly Finding[]) => {
  const errors = findings.filter(({ level }) => level === 'error');
  const [first] = errors;
  return {
    status: 400,
    headers: { 'x-ms-error-code': 'invalidInput' },
    jsonBody: {
      error: {
        code: 'invalidInput',
        message: `Nothing was written: ${errors.length} error${errors.length === 1 ? '' : 's'}, first at ${first?.path}: ${first?.message}.`,
        target: first?.path ?? '',
        details: errors.map(({ path, message }) => ({ code: 'invalidInput', target: path, message })),
      },
    },
  };
};
