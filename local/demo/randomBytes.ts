import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that look random and do not compress, the same for the same seed: a key stream of AES. */
export function seededBytes(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** Numbers in [0, 1) from a seed. */
export function seededNumbers(seed: string): () => number {
  let bytes = seededBytes(seed, 4096);
  let at = 0;
  let turn = 0;
  return () => {
    if (at === bytes.length) {
      bytes = seededBytes(`${seed}/${++turn}`, 4096);
      at = 0;
    }
    const value = bytes.readUInt32LE(at) / 2 ** 32;
    at += 4;
    return value;
  };
}
