import { z } from 'zod';
import { repositoryIdSchema } from './policy.ts';

/** The longest lock that storage takes, less the ten days that a generation may add. */
export const MAX_IMMUTABILITY_DAYS = 146_000 - 10;

const containerName = z
  .string()
  .regex(
    /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
    'wants the name of a container: 3 to 63 characters of a-z, 0-9 and single -',
  );

/** Where a repository of an installation is, and what opens it. Nothing here is secret: secrets go by their names. */
export const repositoryPlaceSchema = z.strictObject({
  id: repositoryIdSchema,
  /** `https://account.blob.core.windows.net`, without a slash at the end. */
  blobEndpoint: z
    .url({ protocol: /^https$/ })
    .refine((url) => !/[?#]/.test(url), 'wants no query: the app signs in by its identity')
    .transform((url) => url.replace(/\/$/, '')),
  metaContainer: containerName.default('holdfast-meta'),
  dataContainer: containerName.default('holdfast-data'),
  /** Name of the secret with its password, in the installation's key vault. */
  passwordSecret: z.string().min(1).max(127).default('holdfast-repository-password'),
  /** Name of a Key Vault key that opens it instead; empty: the password does. */
  keyVaultKey: z.string().max(127).default(''),
  /** Each restore point cannot be removed for so many days; 0: it can at any time. The containers must fit. */
  immutabilityDays: z.number().int().min(0).max(MAX_IMMUTABILITY_DAYS).default(0),
  /** For people, and for choosing by a machine's region. */
  region: z.string().min(1).max(60).nullable().default(null),
});
export type RepositoryPlace = z.infer<typeof repositoryPlaceSchema>;
