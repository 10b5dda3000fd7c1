import {
  EXTENT_MAGIC,
  FLAG_EXTENTS,
  GROUP,
  INCOMPAT,
  INODE,
  MAGIC,
  MODE,
  ROOT_INODE,
  SUPER,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET,
} from './ext4Layout.ts';

/** Reads a part of an image. */
export type ReadAt = (offset: number, length: number) => Buffer;

/** A stretch of a file on its disk, in bytes. */
export interface FileStretch {
  readonly fileOffset: number;
  readonly diskOffset: number;
  readonly length: number;
}
export interface LocatedFile {
  readonly sizeBytes: number;
  readonly stretches: readonly FileStretch[];
}

interface FileSystem {
  readonly read: ReadAt;
  readonly blockBytes: number;
  readonly inodesPerGroup: number;
  readonly inodeBytes: number;
  readonly descriptorBytes: number;
  readonly descriptorsAt: number;
}

/**
 * Reads ext4 as far as it takes to say where the bytes of a file stand: directories and extent trees of any depth, with 32-
 * or 64-bit descriptors. Not the journal (a file system that was unmounted needs none), not block-mapped files of ext2.
 */
export function openExt4(read: ReadAt): { locate(path: string): LocatedFile; list(path: string): string[] } {
  const superblock = read(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES);
  if (superblock.readUInt16LE(SUPER.magic) !== MAGIC) throw new Error('There is no ext4 file system here.');
  const blockBytes = 1024 << superblock.readUInt32LE(SUPER.logBlockSize);
  const is64bit = (superblock.readUInt32LE(SUPER.incompat) & INCOMPAT.is64bit) !== 0;
  const fs: FileSystem = {
    read,
    blockBytes,
    inodesPerGroup: superblock.readUInt32LE(SUPER.inodesPerGroup),
    inodeBytes: superblock.readUInt16LE(SUPER.inodeSize),
    descriptorBytes: is64bit ? superblock.readUInt16LE(SUPER.descriptorSize) : 32,
    descriptorsAt: (superblock.readUInt32LE(SUPER.firstDataBlock) + 1) * blockBytes,
  };
  return {
    locate: (path) => stretchesOf(fs, inodeAt(fs, path), path),
    list: (path) =>
      [...entriesOf(fs, inodeAt(fs, path), path).keys()].filter((name) => !/^\.\.?$/.test(name)),
  };
}

function inodeAt(fs: FileSystem, path: string): Buffer {
  let inode = readInode(fs, ROOT_INODE);
  for (const name of path.split('/').filter(Boolean)) {
    const number = entriesOf(fs, inode, path).get(name);
    if (number === undefined) throw new Error(`There is no ${path} in this file system.`);
    inode = readInode(fs, number);
  }
  return inode;
}

function readInode(fs: FileSystem, number: number): Buffer {
  const group = Math.floor((number - 1) / fs.inodesPerGroup);
  const descriptor = fs.read(fs.descriptorsAt + group * fs.descriptorBytes, fs.descriptorBytes);
  const high = fs.descriptorBytes > 32 ? descriptor.readUInt32LE(GROUP.inodeTableHigh) : 0;
  const table = (high * 2 ** 32 + descriptor.readUInt32LE(GROUP.inodeTable)) * fs.blockBytes;
  return fs.read(table + ((number - 1) % fs.inodesPerGroup) * fs.inodeBytes, fs.inodeBytes);
}

function entriesOf(fs: FileSystem, inode: Buffer, path: string): Map<string, number> {
  if ((inode.readUInt16LE(INODE.mode) & MODE.mask) !== MODE.directory) {
    throw new Error(`A part of ${path} is not a directory.`);
  }
  const entries = new Map<string, number>();
  for (const stretch of stretchesOf(fs, inode, path).stretches) {
    const bytes = fs.read(stretch.diskOffset, stretch.length);
    for (let at = 0; at + 8 <= bytes.length; ) {
      const number = bytes.readUInt32LE(at);
      const length = bytes.readUInt16LE(at + 4);
      if (length < 8) throw new Error(`A directory on the way to ${path} is damaged.`);
      const name = bytes.toString('utf8', at + 8, at + 8 + bytes.readUInt8(at + 6));
      if (number !== 0) entries.set(name, number);
      at += length;
    }
  }
  return entries;
}

function stretchesOf(fs: FileSystem, inode: Buffer, path: string): LocatedFile {
  if ((inode.readUInt32LE(INODE.flags) & FLAG_EXTENTS) === 0) throw new Error(`${path} has no extents.`);
  const sizeBytes = inode.readUInt32LE(INODE.sizeHigh) * 2 ** 32 + inode.readUInt32LE(INODE.sizeLow);
  const stretches: FileStretch[] = [];
  const walk = (node: Buffer): void => {
    if (node.readUInt16LE(0) !== EXTENT_MAGIC) throw new Error(`The extents of ${path} are damaged.`);
    const depth = node.readUInt16LE(6);
    for (let i = 0; i < node.readUInt16LE(2); i++) {
      const at = 12 + 12 * i;
      if (depth > 0) {
        const child = node.readUInt16LE(at + 8) * 2 ** 32 + node.readUInt32LE(at + 4);
        walk(fs.read(child * fs.blockBytes, fs.blockBytes));
        continue;
      }
      const fileOffset = node.readUInt32LE(at) * fs.blockBytes;
      const count = node.readUInt16LE(at + 4);
      // More than 32768 marks blocks that are reserved and not written yet: they hold nothing of the file.
      if (count > 32768) continue;
      const start = node.readUInt16LE(at + 6) * 2 ** 32 + node.readUInt32LE(at + 8);
      const length = Math.min(count * fs.blockBytes, sizeBytes - fileOffset);
      stretches.push({ fileOffset, diskOffset: start * fs.blockBytes, length });
    }
  };
  walk(inode.subarray(INODE.blocks, INODE.blocks + 60));
  return { sizeBytes, stretches };
}
