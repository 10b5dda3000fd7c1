/** The tools that people pick instead, as Debian packages them, on the same images: local files in, a folder in memory out. */
import { spawnSync } from 'node:child_process';
import { linkSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Images } from './image.ts';
import { type Measured, measure } from './measure.ts';

export type Op = 'full' | 'incremental' | 'restore' | 'verify';

export interface Peer {
  readonly name: string;
  readonly version: string;
  /** Not measured: makes an empty repository. */
  prepare(): Promise<void>;
  readonly ops: Partial<Record<Op, () => Promise<Measured>>>;
  /** Bytes of the repository. */
  stored(): number;
  remove(): void;
}

export const PEERS = ['restic', 'borg', 'qemu'] as const;
export type PeerName = (typeof PEERS)[number];

const PACKAGES: Record<PeerName, { program: string; args: string[]; package: string }> = {
  restic: { program: 'restic', args: ['version'], package: 'restic' },
  borg: { program: 'borg', args: ['--version'], package: 'borgbackup' },
  qemu: { program: 'qemu-img', args: ['--version'], package: 'qemu-utils' },
};

function folderBytes(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += lstatSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

/** Finds the tool, or says which package brings it. `scratch` is a folder in memory. */
export function findPeer(name: PeerName, images: Images, scratch: string): Peer | string {
  const { program, args, package: debian } = PACKAGES[name];
  const found = spawnSync(program, args, { encoding: 'utf8' });
  if (found.error || found.status !== 0) return `${name} is not here: apt-get install ${debian}`;
  const version = found.stdout.split('\n')[0] ?? '';
  const folder = join(scratch, name);
  const repository = join(folder, 'repository');
  const common = {
    name,
    version,
    stored: () => folderBytes(repository),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
  const fresh = () => {
    common.remove();
    mkdirSync(repository, { recursive: true });
  };
  if (name === 'restic') return { ...common, ...restic(images, folder, repository, fresh) };
  if (name === 'borg') return { ...common, ...borg(images, folder, repository, fresh) };
  return { ...common, ...qemu(images, folder, repository, fresh) };
}

type Tool = Pick<Peer, 'prepare' | 'ops'>;

/** Puts one version of the image where the tool reads it, under the same name each time. */
function present(image: string): { folder: string; file: string } {
  const folder = `${image}.as`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  linkSync(image, join(folder, 'disk.raw'));
  return { folder, file: join(folder, 'disk.raw') };
}

function restic(images: Images, folder: string, repository: string, fresh: () => void): Tool {
  const env = {
    RESTIC_PASSWORD: 'bench',
    RESTIC_REPOSITORY: repository,
    RESTIC_CACHE_DIR: join(folder, 'cache'),
  };
  const call = (args: string[], cwd?: string, discard = false) =>
    measure(['restic', '--quiet', ...args], { env, discard, ...(cwd === undefined ? {} : { cwd }) });
  const backup = async (image: string) => {
    const there = present(image);
    const done = await call(['backup', 'disk.raw'], there.folder);
    rmSync(there.folder, { recursive: true });
    return done;
  };
  return {
    async prepare() {
      fresh();
      await call(['init', '--repository-version', '2']);
    },
    ops: {
      full: () => backup(images.first),
      incremental: () => backup(images.next),
      restore: () => call(['dump', 'latest', 'disk.raw'], undefined, true),
      verify: () => call(['check', '--read-data']),
    },
  };
}

function borg(images: Images, folder: string, repository: string, fresh: () => void): Tool {
  const env = { BORG_PASSPHRASE: 'bench', BORG_BASE_DIR: folder, BORG_REPO: repository };
  const call = (args: string[], cwd?: string, discard = false) =>
    measure(['borg', ...args], { env, discard, ...(cwd === undefined ? {} : { cwd }) });
  const backup = async (image: string, name: string) => {
    const there = present(image);
    const done = await call(['create', '--compression', 'zstd,1', `::${name}`, 'disk.raw'], there.folder);
    rmSync(there.folder, { recursive: true });
    return done;
  };
  return {
    async prepare() {
      fresh();
      await call(['init', '--encryption', 'repokey']);
    },
    ops: {
      full: () => backup(images.first, 'first'),
      incremental: () => backup(images.next, 'next'),
      restore: () => call(['extract', '--stdout', '::next'], undefined, true),
      verify: () => call(['check', '--verify-data']),
    },
  };
}

/** Neither hashes nor encrypts, and has no increments of its own. */
function qemu(images: Images, folder: string, repository: string, fresh: () => void): Tool {
  const stored = join(repository, 'disk.qcow2');
  const target = join(folder, 'restored.raw');
  return {
    prepare: () => Promise.resolve(fresh()),
    ops: {
      full: () =>
        measure([
          'qemu-img',
          'convert',
          '-c',
          '-O',
          'qcow2',
          '-o',
          'compression_type=zstd',
          images.first,
          stored,
        ]),
      restore: async () => {
        const done = await measure(['qemu-img', 'convert', '-O', 'raw', stored, target]);
        rmSync(target);
        return done;
      },
      verify: () => measure(['qemu-img', 'compare', images.first, stored]),
    },
  };
}
