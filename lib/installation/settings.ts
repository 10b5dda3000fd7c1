import { z } from 'zod';
import { HoldfastError, MAX_IMMUTABILITY_DAYS, MiB } from '../model/index.ts';

const list = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean),
  )
  .refine((items) => items.length > 0, 'needs at least one value');
const whole = (fallback: number, min = 1) => z.coerce.number().int().min(min).default(fallback);
const httpsUrl = z.url({ protocol: /^https$/ }).transform((url) => url.replace(/\/$/, ''));

/**
 * Every setting of the app: an environment variable (an app setting in Azure) each. None is a secret: secrets are named
 * here and read from Key Vault. infra/ writes the same names, and a test compares the two.
 */
export const settingsSchema = z.object({
  /** Names this installation in tags of snapshots and workers, and as the owner of its repository. */
  HOLDFAST_INSTALLATION_ID: z
    .string()
    .regex(/^[a-z0-9-]{3,36}$/, 'wants 3 to 36 characters of a-z, 0-9 and -'),
  HOLDFAST_SUBSCRIPTION_IDS: list,
  /** Region of the app and, unless a machine says otherwise, of its workers. */
  HOLDFAST_LOCATION: z.string().min(1),
  HOLDFAST_TENANT_ID: z.string().min(1),
  /** Client id of the user-assigned identity; empty for a system-assigned one. */
  HOLDFAST_CLIENT_ID: z.string().default(''),
  HOLDFAST_ARM_ENDPOINT: httpsUrl.default('https://management.azure.com'),
  HOLDFAST_AUTHORITY_HOST: httpsUrl.default('https://login.microsoftonline.com'),
  HOLDFAST_TABLE_ENDPOINT: httpsUrl,
  HOLDFAST_BLOB_ENDPOINT: httpsUrl,
  HOLDFAST_STAGING_CONTAINER: z.string().default('staging'),
  HOLDFAST_PACKAGE_CONTAINER: z.string().default('worker-packages'),
  HOLDFAST_REPOSITORY_ENDPOINT: httpsUrl,
  HOLDFAST_META_CONTAINER: z.string().default('holdfast-meta'),
  HOLDFAST_DATA_CONTAINER: z.string().default('holdfast-data'),
  /**
   * Restore points cannot be removed for so many days, by anybody. The containers must keep versions that can be locked
   * (version-level immutability); 0: they must not.
   */
  HOLDFAST_IMMUTABILITY_DAYS: z.coerce.number().int().min(0).max(MAX_IMMUTABILITY_DAYS).default(0),
  HOLDFAST_KEY_VAULT_URL: httpsUrl,
  HOLDFAST_PASSWORD_SECRET: z.string().default('holdfast-repository-password'),
  /** Name of a Key Vault key that opens the repository instead of the password; empty: the password does. */
  HOLDFAST_KEY_VAULT_KEY_NAME: z.string().default(''),
  HOLDFAST_INSTALLATION_KEY_SECRET: z.string().default('holdfast-installation-key'),
  HOLDFAST_WORKER_RESOURCE_GROUP: z.string().min(1),
  /** Subscription of the worker resource group; the first protected one when empty. */
  HOLDFAST_WORKER_SUBSCRIPTION_ID: z.string().default(''),
  /** VM sizes to try, in order. */
  HOLDFAST_WORKER_SIZES: list.default(['Standard_D2as_v5', 'Standard_D2s_v5']),
  HOLDFAST_WORKER_IMAGE: z.string().default('Canonical:ubuntu-24_04-lts:server:latest'),
  /** Slots of the worker pool of a region. */
  HOLDFAST_WORKER_SLOTS: whole(4),
  /** Deallocated workers that a pool keeps; the rest is deleted. */
  HOLDFAST_WORKER_KEEP: whole(0, 0),
  /** Audience that workers' tokens must name. */
  HOLDFAST_WORKER_AUDIENCE: z.string().min(1),
  /** Where workers reach this app. */
  HOLDFAST_APP_URL: httpsUrl,
  HOLDFAST_TASK_HUB: z.string().default('Holdfast'),
  /** Shortest wait between two looks at something; it backs off to twelve times this. */
  HOLDFAST_POLL_SECONDS: z.coerce.number().min(0.1).default(5),
  /** Machines of one policy run that are backed up side by side. */
  HOLDFAST_PARALLEL_MACHINES: whole(8),
  /** Sessions are kept for so many days after their end; 0: for ever. Restore points do not depend on them. */
  HOLDFAST_SESSION_DAYS: whole(90, 0),
  HOLDFAST_SHARD_BYTES: whole(4096 * MiB, MiB),
  /** With mover `auto`, this much data or less is moved by the app itself. */
  HOLDFAST_INLINE_BYTES: whole(128 * MiB, 0),
  HOLDFAST_BLOCK_BYTES: z.coerce
    .number()
    .refine((n) => [256, 512, 1024].includes(n / 1024), 'wants 262144, 524288 or 1048576')
    .default(524288),
});

export type Settings = Readonly<z.infer<typeof settingsSchema>>;

export const SETTING_NAMES = Object.keys(settingsSchema.shape) as (keyof Settings)[];

/** Parses the environment once. Throws `notConfigured` that names every setting that is missing or wrong. */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const given = Object.fromEntries(
    SETTING_NAMES.map((name) => [name, env[name] === '' ? undefined : env[name]]),
  );
  const parsed = settingsSchema.safeParse(given);
  if (parsed.success) return Object.freeze(parsed.data);
  const wrong = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new HoldfastError('notConfigured', `These settings are missing or wrong: ${wrong.join('; ')}.`, {
    cause: parsed.error,
  });
}
