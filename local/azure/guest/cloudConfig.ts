/** The part of a cloud-config that the simulator carries out: `write_files`, at the first boot. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parse } from 'yaml';
import * as z from 'zod';

const cloudConfig = z.looseObject({
  write_files: z
    .array(
      z.looseObject({
        path: z.string(),
        content: z.string().default(''),
        encoding: z.string().optional(),
        permissions: z.union([z.string(), z.number()]).optional(),
      }),
    )
    .default([]),
});

export interface GuestFile {
  path: string;
  content: Buffer;
  /** Permission bits. */
  mode: number;
}

/** Folders of the guest that exist here, below its root; paths elsewhere are not written. */
const FOLDERS = [
  '/etc/holdfast',
  '/opt/holdfast',
  '/var/lib/holdfast',
  '/var/cache/holdfast',
  '/run/holdfast',
  '/etc/systemd/system',
];
export const UNIT_FOLDER = '/etc/systemd/system';

/** The files of a machine's customData (base64); undefined when it is no cloud-config. */
export function guestFiles(customData: string): GuestFile[] | undefined {
  let bytes = Buffer.from(customData, 'base64');
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  const text = bytes.toString('utf8');
  if (!text.startsWith('#cloud-config')) return undefined;
  return cloudConfig.parse(parse(text)).write_files.map(({ path, content, encoding, permissions }) => ({
    path,
    content: decode(content, encoding),
    mode: typeof permissions === 'number' ? permissions : Number.parseInt(permissions ?? '0644', 8),
  }));
}

function decode(content: string, encoding: string | undefined): Buffer {
  const packed = /^(gz|gzip)/i.test(encoding ?? '');
  const bytes = /b64|base64/i.test(encoding ?? '')
    ? Buffer.from(content, 'base64')
    : Buffer.from(content, packed ? 'latin1' : 'utf8');
  return packed ? gunzipSync(bytes) : bytes;
}

/** Puts the guest's root before every absolute path of its folders, so that what it names is what was written. */
export function underRoot(text: string, root: string): string {
  return text.replace(
    new RegExp(`(?<![\\w.-])(${FOLDERS.join('|')})(?![\\w.-])`, 'g'),
    (path) => `${root}${path}`,
  );
}

export const isGuestPath = (path: string) =>
  !path.includes('/../') && FOLDERS.some((folder) => path === folder || path.startsWith(`${folder}/`));

/** Writes the files below `root`; answers the paths that are not the guest's own and were left out. */
export function writeGuestFiles(files: GuestFile[], root: string): string[] {
  for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true });
  const left: string[] = [];
  for (const file of files) {
    if (!isGuestPath(file.path)) {
      left.push(file.path);
      continue;
    }
    const target = join(root, file.path);
    mkdirSync(dirname(target), { recursive: true });
    const isText = !file.content.includes(0);
    writeFileSync(target, isText ? underRoot(file.content.toString('utf8'), root) : file.content);
    chmodSync(target, file.mode);
  }
  return left;
}
