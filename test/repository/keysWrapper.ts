import {
  constants,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { HoldfastError } from '../../lib/model/index.ts';
import type { KeyWrapper, WrappedKey } from '../../lib/repository/index.ts';

interface Version {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  state: 'enabled' | 'disabled' | 'deleted';
}

/** A vault in memory with real RSA: what the port promises, and nothing of Azure. */
export class MemoryKeyWrapper implements KeyWrapper {
  readonly #versions = new Map<string, Version>();
  #newest = '';
  readonly key: string;

  constructor(name = 'repository') {
    this.key = `https://vault.example/keys/${name}`;
    this.rotate();
  }

  rotate(): string {
    this.#newest = `${this.key}/${randomBytes(16).toString('hex')}`;
    this.#versions.set(this.#newest, {
      ...nextPair(),
      state: 'enabled',
    });
    return this.#newest;
  }

  set(key: string, state: Version['state']): void {
    this.#find(key).state = state;
  }

  wrap(key: string, plain: Uint8Array): Promise<WrappedKey> {
    const id = key === this.key ? this.#newest : key;
    const wrapped = publicEncrypt({ key: this.#usable(id).publicKey, ...OAEP }, plain);
    return Promise.resolve({ key: id, wrapped });
  }

  async unwrap(key: string, wrapped: Uint8Array): Promise<Buffer> {
    const { privateKey } = this.#usable(key);
    try {
      return privateDecrypt({ key: privateKey, ...OAEP }, wrapped);
    } catch {
      throw new HoldfastError('corruptObject', `${key} did not wrap this.`, { target: key });
    }
  }

  #find(key: string): Version {
    const version = this.#versions.get(key);
    if (!version) throw new HoldfastError('notFound', `The key ${key} does not exist.`, { target: key });
    return version;
  }

  #usable(key: string): Version {
    const version = this.#find(key);
    if (version.state === 'deleted')
      throw new HoldfastError('notFound', `The key ${key} does not exist. Recover it.`, { target: key });
    if (version.state === 'disabled')
      throw new HoldfastError('notConfigured', `The key ${key} is disabled. Enable it.`, { target: key });
    return version;
  }
}

/** Making a pair is slow: a few are enough, since neighbours differ. */
const pairs: { publicKey: KeyObject; privateKey: KeyObject }[] = [];
let taken = 0;
function nextPair() {
  const pair = pairs[taken % 4] ?? generateKeyPairSync('rsa', { modulusLength: 2048 });
  pairs[taken++ % 4] = pair;
  return pair;
}

const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
