import { DEFAULT_REPOSITORY, repositoryIdSchema } from '../../model/index.ts';

/** The repository that a session works on. */
export const inRepository = { repository: repositoryIdSchema.default(DEFAULT_REPOSITORY) };
