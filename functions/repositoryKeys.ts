import { z } from 'zod';
import { HoldfastError, repositoryIdSchema } from '../lib/model/index.ts';
import {
  addKeySlot,
  changeKeyPassword,
  listKeySlots,
  removeKeySlot,
  rewrapKeySlot,
} from '../lib/sessions/index.ts';
import { type Call, ok, route } from './http.ts';

/** A secret of the installation's vault, its newest version or a certain one. Passwords never travel over this API. */
export const secretName = z
  .string()
  .regex(/^[0-9A-Za-z-]{1,127}(\/[0-9A-Fa-f]{32})?$/, 'wants the name of a secret, or <name>/<version>');
const keyName = z
  .string()
  .regex(
    /^[0-9A-Za-z-]{1,127}(\/[0-9A-Fa-f]{32})?$/,
    'wants the name of a key of the vault, or <name>/<version>',
  );
const slotId = z.string().regex(/^[0-9a-z-]{1,40}$/, 'wants 1 to 40 characters of a-z, 0-9 and -');
const openWithSecret = secretName.optional();
/** Which repository of the installation; default: the one of the settings. */
const repository = repositoryIdSchema.optional();

function idOf({ params }: Call): string {
  const parsed = slotId.safeParse(params['id']);
  if (parsed.success) return parsed.data;
  throw new HoldfastError('notFound', `There is no key slot ${params['id']}.`, { target: 'id' });
}

/** GET repository/keys?repository=: the key slots, without anything of their secrets. */
route({
  name: 'listKeySlots',
  methods: ['GET'],
  path: 'repository/keys',
  caller: 'function',
  handle: async ({ installation, query }) =>
    ok({ value: await listKeySlots(installation, { repository: query.get('repository') ?? undefined }) }),
});

const addSchema = z
  .strictObject({
    id: slotId,
    passwordSecret: secretName.optional(),
    keyVaultKey: keyName.optional(),
    openWithSecret,
    repository,
  })
  .refine(
    ({ passwordSecret, keyVaultKey }) => (passwordSecret === undefined) !== (keyVaultKey === undefined),
    {
      message: 'give either passwordSecret or keyVaultKey',
      path: ['passwordSecret'],
    },
  );

/** POST repository/keys: adds a slot for a password (a secret of the vault) or for a key of the vault. */
route({
  name: 'addKeySlot',
  methods: ['POST'],
  path: 'repository/keys',
  caller: 'function',
  async handle(call) {
    const { passwordSecret, keyVaultKey = '', ...asked } = await call.body(addSchema);
    const material = passwordSecret === undefined ? { keyVaultKey } : { passwordSecret };
    return ok(await addKeySlot(call.installation, { ...asked, material }));
  },
});

/** POST repository/keys/changePassword: the slot that the old secret opens gets the new one. */
route({
  name: 'changeKeyPassword',
  methods: ['POST'],
  path: 'repository/keys/changePassword',
  caller: 'function',
  async handle(call) {
    const asked = await call.body(
      z.strictObject({ oldSecret: secretName.optional(), newSecret: secretName.optional(), repository }),
    );
    return ok(await changeKeyPassword(call.installation, asked));
  },
});

/** POST repository/keys/{id}/rewrap: wraps a Key Vault slot with the newest version of its key, or with another key. */
route({
  name: 'rewrapKeySlot',
  methods: ['POST'],
  path: 'repository/keys/{id}/rewrap',
  caller: 'function',
  async handle(call) {
    const asked = await call.body(
      z.strictObject({ keyVaultKey: keyName.optional(), openWithSecret, repository }),
    );
    return ok(await rewrapKeySlot(call.installation, { ...asked, id: idOf(call) }));
  },
});

/** POST repository/keys/{id}/remove: never the last one, and never the one that the service opens the repository with. */
route({
  name: 'removeKeySlot',
  methods: ['POST'],
  path: 'repository/keys/{id}/remove',
  caller: 'function',
  async handle(call) {
    const asked = await call.body(z.strictObject({ openWithSecret, repository }));
    await removeKeySlot(call.installation, { ...asked, id: idOf(call) });
    return ok({ value: await listKeySlots(call.installation, asked) });
  },
});
