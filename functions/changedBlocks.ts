import { HoldfastError, policyIdSchema } from '../lib/model/index.ts';
import { ok, route } from './http.ts';

/** POST policies/{id}/resetChangedBlocks: each machine's next backup by this policy reads its disks whole. */
route({
  name: 'resetChangedBlocks',
  methods: ['POST'],
  path: 'policies/{id}/resetChangedBlocks',
  caller: 'function',
  async handle({ installation: { catalog, clock }, params }) {
    const id = policyIdSchema.safeParse(params['id']).data;
    const found = id === undefined ? null : await catalog.policies.get(id);
    if (!found) throw new HoldfastError('notFound', `There is no policy ${params['id']}.`, { target: 'id' });
    const { value, etag } = found;
    const changedBlocks = { ...value.changedBlocks, resetAt: clock.now().toISOString() };
    // `preconditionFailed` when somebody wrote the policy meanwhile: asking again is safe.
    const written = await catalog.policies.put({ ...value, changedBlocks }, etag);
    return { ...ok({ id: value.id, changedBlocks }), headers: { ETag: written.etag } };
  },
});
