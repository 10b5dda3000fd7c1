import { createHash } from 'node:crypto';

const ALGORITHM = 'ssh-ed25519';

/**
 * An SSH public key to which nobody holds a private one: a hash of `name` stands where the key's point would. Azure asks for a key when it
 * creates a Linux VM without a password; workers let nobody in. The same name gives the same key.
 */
export function keyOfNobody(name: string): string {
  const point = createHash('sha256').update(`holdfast worker without login: ${name}`).digest();
  const part = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const key = Buffer.concat([part(Buffer.from(ALGORITHM)), part(point)]);
  return `${ALGORITHM} ${key.toString('base64')} nobody@${name}`;
}
