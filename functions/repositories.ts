import { z } from 'zod';
import { HoldfastError, repositoryIdSchema, repositoryPlaceSchema } from '../lib/model/index.ts';
import {
  attachRepository,
  detachRepository,
  findRepository,
  listRepositories,
} from '../lib/sessions/index.ts';
import { type Call, ok, route } from './http.ts';

const isObject = (body: unknown): body is object => typeof body === 'object' && body !== null;

function idOf({ params }: Call): string {
  const parsed = repositoryIdSchema.safeParse(params['id']);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues[0]?.message;
  throw new HoldfastError('invalidInput', `"${params['id']}" cannot be the name of a repository: ${why}.`, {
    target: 'id',
  });
}

/** GET repositories: the one of the settings first. */
route({
  name: 'listRepositories',
  methods: ['GET'],
  path: 'repositories',
  caller: 'function',
  handle: async ({ installation }) => ok({ value: await listRepositories(installation) }),
});

/** GET repositories/{id}. */
route({
  name: 'getRepositoryPlace',
  methods: ['GET'],
  path: 'repositories/{id}',
  caller: 'function',
  handle: async (call) => ok(await findRepository(call.installation, idOf(call))),
});

/** PUT repositories/{id}, with `takeOver` from that installation: registers a repository, founding it where its containers are empty, or changes what is said of it. */
route({
  name: 'putRepository',
  methods: ['PUT'],
  path: 'repositories/{id}',
  caller: 'function',
  async handle(call) {
    const id = idOf(call);
    const place = await call.body(
      z.preprocess((body) => (isObject(body) ? { id, ...body } : body), repositoryPlaceSchema),
    );
    if (place.id !== id)
      throw new HoldfastError('invalidInput', `The body's id is ${place.id}, the URL's is ${id}.`, {
        target: 'id',
      });
    return ok(await attachRepository(call.installation, place, call.query.get('takeOver') ?? undefined));
  },
});

/** DELETE repositories/{id}: takes it out of the installation, and keeps what it holds. */
route({
  name: 'deleteRepository',
  methods: ['DELETE'],
  path: 'repositories/{id}',
  caller: 'function',
  handle: async (call) => ok(await detachRepository(call.installation, idOf(call))),
});
