import { z } from 'zod';

/** What the process reads in its environment. README.md has the same table for people. */
const environment = z.object({
  HOLDFAST_HOST_ENTRY: z.string().min(1),
  HOLDFAST_HOST_STATE: z.string().min(1),
  HOLDFAST_HOST_ROOT: z.string().optional(),
  HOLDFAST_HOST_PORT: z.coerce.number().int().min(0).max(65_535).default(7071),
  HOLDFAST_HOST_HTTPS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  HOLDFAST_HOST_TLS_CERT: z.string().optional(),
  HOLDFAST_HOST_TLS_KEY: z.string().optional(),
  HOLDFAST_HOST_GRACE_SECONDS: z.coerce.number().min(0).default(10),
  HOLDFAST_FUNCTION_KEY: z.string().optional(),
  HOLDFAST_SYSTEM_KEY: z.string().optional(),
  HOLDFAST_MASTER_KEY: z.string().optional(),
});

export interface ProcessSettings {
  appRoot: string;
  entry: string;
  stateDir: string;
  port: number;
  httpsPort: number | undefined;
  /** Files of the certificate chain and of its key. */
  tlsFiles: [cert: string, key: string] | undefined;
  functionKeys: string[] | undefined;
  systemKey: string | undefined;
  masterKey: string | undefined;
  graceMs: number;
}

/** Reads the settings of a host process; throws in words for a person when one is missing or wrong. */
export function readProcessSettings(env: NodeJS.ProcessEnv): ProcessSettings {
  // An empty variable is one that is not set.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    throw new Error(`The Functions host cannot start with these settings:\n${z.prettifyError(parsed.error)}`);
  }
  const read = parsed.data;
  const { HOLDFAST_HOST_TLS_CERT: cert, HOLDFAST_HOST_TLS_KEY: key } = read;
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error('Set both HOLDFAST_HOST_TLS_CERT and HOLDFAST_HOST_TLS_KEY, or neither.');
  }
  if (read.HOLDFAST_HOST_HTTPS_PORT !== undefined && cert === undefined) {
    throw new Error('HOLDFAST_HOST_HTTPS_PORT needs HOLDFAST_HOST_TLS_CERT and HOLDFAST_HOST_TLS_KEY.');
  }
  return {
    appRoot: read.HOLDFAST_HOST_ROOT ?? process.cwd(),
    entry: read.HOLDFAST_HOST_ENTRY,
    stateDir: read.HOLDFAST_HOST_STATE,
    port: read.HOLDFAST_HOST_PORT,
    httpsPort: read.HOLDFAST_HOST_HTTPS_PORT,
    tlsFiles: cert !== undefined && key !== undefined ? [cert, key] : undefined,
    functionKeys: read.HOLDFAST_FUNCTION_KEY?.split(',').map((one) => one.trim()),
    systemKey: read.HOLDFAST_SYSTEM_KEY,
    masterKey: read.HOLDFAST_MASTER_KEY,
    graceMs: read.HOLDFAST_HOST_GRACE_SECONDS * 1000,
  };
}
