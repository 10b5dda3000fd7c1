import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import {
  BLOCK,
  EXTENT_MAGIC,
  FILE_TYPE,
  FLAG_EXTENTS,
  GROUP,
  INCOMPAT,
  INODE,
  MAGIC,
  MODE,
  RO_COMPAT,
  ROOT_INODE,
  SUPER,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET,
} from './ext4Layout.ts';

/**
 * Writes an ext4 file system with given files into a raw image: the way to a demo disk where e2fsprogs is missing.
 *
 * What it writes is a real ext4 (extents, file types, sparse superblocks), which Linux mounts and `e2fsck -fn` finds clean. It
 * is a small one: no journal, no checksums, no symbolic links, and files of at most four extents. The same files, seed and
 * time give the same bytes.
 */
export interface ImageFile {
  /** Absolute, without dots: `/var/log/app.log`. Directories come of themselves. */
  readonly path: string;
  readonly content: Buffer;
}

const BLOCKS_PER_GROUP = 8 * BLOCK;
const INODES_PER_GROUP = 2048;
const INODE_BYTES = 256;
const TABLE_BLOCKS = (INODES_PER_GROUP * INODE_BYTES) / BLOCK;
const FIRST_INODE = 11;
const MAX_INLINE_EXTENTS = 4;

interface Extent {
  readonly logical: number;
  readonly start: number;
  readonly count: number;
}
interface Directory {
  readonly inode: number;
  readonly parent: number;
  readonly entries: { name: string; inode: number; type: number }[];
}

/** `sizeBytes` is a multiple of 4096, and leaves its last group room for its own tables. `at` is every time stamp. */
export function writeExt4(
  file: string,
  sizeBytes: number,
  files: readonly ImageFile[],
  seed: string,
  at: Date,
): void {
  const image = new Ext4Image(file, sizeBytes, seed, Math.floor(at.getTime() / 1000));
  try {
    image.addAll(files);
    image.finish();
  } finally {
    image.close();
  }
}

class Ext4Image {
  private readonly fd: number;
  private readonly blocks: number;
  private readonly groups: number;
  private readonly blockBitmaps: Buffer[];
  private readonly inodeBitmaps: Buffer[];
  private readonly tables: Buffer[];
  private readonly directoriesIn: number[];
  private readonly directories = new Map<string, Directory>();
  private readonly seed: string;
  private readonly at: number;
  private nextInode = FIRST_INODE;
  private nextBlock = 0;

  constructor(file: string, sizeBytes: number, seed: string, at: number) {
    if (sizeBytes % BLOCK !== 0) throw new RangeError(`An image has a multiple of ${BLOCK} bytes.`);
    this.seed = seed;
    this.at = at;
    this.blocks = sizeBytes / BLOCK;
    this.groups = Math.ceil(this.blocks / BLOCKS_PER_GROUP);
    if (this.groups * 32 > BLOCK) throw new RangeError('This writer makes file systems of at most 16 GiB.');
    if (this.blocksIn(this.groups - 1) < this.overhead(this.groups - 1) + 50) {
      throw new RangeError(
        `${sizeBytes} bytes leave the last block group no room: use a multiple of 128 MiB.`,
      );
    }
    const perGroup = (bytes: number) => Array.from({ length: this.groups }, () => Buffer.alloc(bytes));
    this.blockBitmaps = perGroup(BLOCK);
    this.inodeBitmaps = perGroup(BLOCK);
    this.tables = perGroup(TABLE_BLOCKS * BLOCK);
    this.directoriesIn = Array.from({ length: this.groups }, () => 0);
    for (let group = 0; group < this.groups; group++) {
      const bitmap = this.blockBitmaps[group] as Buffer;
      for (let bit = 0; bit < this.overhead(group); bit++) setBit(bitmap, bit);
      for (let bit = this.blocksIn(group); bit < BLOCKS_PER_GROUP; bit++) setBit(bitmap, bit);
      const inodes = this.inodeBitmaps[group] as Buffer;
      inodes.fill(0xff, INODES_PER_GROUP / 8);
    }
    for (let inode = 1; inode < FIRST_INODE; inode++) this.takeInode(inode);
    this.fd = openSync(file, 'w');
    ftruncateSync(this.fd, sizeBytes);
  }

  addAll(files: readonly ImageFile[]): void {
    this.directories.set('', { inode: ROOT_INODE, parent: ROOT_INODE, entries: [] });
    this.directory('/lost+found');
    for (const { path, content } of files) this.addFile(path, content);
    for (const directory of this.directories.values()) this.writeDirectory(directory);
  }

  close(): void {
    closeSync(this.fd);
  }

  private addFile(path: string, content: Buffer): void {
    const cut = path.lastIndexOf('/');
    const parent = this.directory(path.slice(0, cut));
    const inode = this.nextInode++;
    this.takeInode(inode);
    parent.entries.push({ name: path.slice(cut + 1), inode, type: FILE_TYPE.file });
    const extents = this.store(content, path);
    this.writeInode(inode, { mode: MODE.file | 0o644, size: content.length, links: 1, extents, path });
  }

  /** The directory of this path, made (with those above it) when it is new. */
  private directory(path: string): Directory {
    const known = this.directories.get(path);
    if (known) return known;
    const cut = path.lastIndexOf('/');
    const parent = this.directory(path.slice(0, cut));
    const made: Directory = { inode: this.nextInode++, parent: parent.inode, entries: [] };
    this.takeInode(made.inode);
    parent.entries.push({ name: path.slice(cut + 1), inode: made.inode, type: FILE_TYPE.directory });
    this.directories.set(path, made);
    return made;
  }

  private writeDirectory({ inode, parent, entries }: Directory): void {
    const all = [
      { name: '.', inode, type: FILE_TYPE.directory },
      { name: '..', inode: parent, type: FILE_TYPE.directory },
      ...entries,
    ];
    const filled: Buffer[] = [];
    let block = Buffer.alloc(BLOCK);
    let at = 0;
    let last = 0;
    for (const entry of all) {
      const name = Buffer.from(entry.name);
      const length = (8 + name.length + 3) & ~3;
      if (at + length > BLOCK) {
        block.writeUInt16LE(BLOCK - last, last + 4);
        filled.push(block);
        block = Buffer.alloc(BLOCK);
        at = 0;
      }
      block.writeUInt32LE(entry.inode, at);
      block.writeUInt16LE(length, at + 4);
      block.writeUInt8(name.length, at + 6);
      block.writeUInt8(entry.type, at + 7);
      name.copy(block, at + 8);
      last = at;
      at += length;
    }
    // The last entry of a block reaches to its end.
    block.writeUInt16LE(BLOCK - last, last + 4);
    filled.push(block);
    const content = Buffer.concat(filled);
    const extents = this.store(content, `directory ${inode}`);
    const below = entries.filter((entry) => entry.type === FILE_TYPE.directory).length;
    const mode = MODE.directory | 0o755;
    this.writeInode(inode, {
      mode,
      size: content.length,
      links: 2 + below,
      extents,
      path: `directory ${inode}`,
    });
    const group = Math.floor((inode - 1) / INODES_PER_GROUP);
    this.directoriesIn[group] = (this.directoriesIn[group] ?? 0) + 1;
  }

  /** Writes content to free blocks, in as few stretches as the groups allow. */
  private store(content: Buffer, path: string): Extent[] {
    const extents: Extent[] = [];
    const wanted = Math.ceil(content.length / BLOCK);
    for (let logical = 0; logical < wanted; ) {
      const start = this.freeBlock(path);
      let count = 0;
      while (logical + count < wanted && start + count < this.blocks && !this.isTaken(start + count)) {
        setBit(this.blockBitmaps[this.groupOf(start + count)] as Buffer, (start + count) % BLOCKS_PER_GROUP);
        count++;
      }
      this.nextBlock = start + count;
      const bytes = content.subarray(logical * BLOCK, (logical + count) * BLOCK);
      writeSync(this.fd, bytes, 0, bytes.length, start * BLOCK);
      extents.push({ logical, start, count });
      logical += count;
    }
    if (extents.length > MAX_INLINE_EXTENTS) throw new RangeError(`${path} is too large for this writer.`);
    return extents;
  }

  private freeBlock(path: string): number {
    for (let block = this.nextBlock; block < this.blocks; block++) if (!this.isTaken(block)) return block;
    throw new RangeError(`The image is full: no room for ${path}.`);
  }

  private writeInode(
    inode: number,
    made: { mode: number; size: number; links: number; extents: readonly Extent[]; path: string },
  ): void {
    const group = Math.floor((inode - 1) / INODES_PER_GROUP);
    const from = ((inode - 1) % INODES_PER_GROUP) * INODE_BYTES;
    const bytes = (this.tables[group] as Buffer).subarray(from, from + INODE_BYTES);
    bytes.writeUInt16LE(made.mode, INODE.mode);
    bytes.writeUInt32LE(made.size, INODE.sizeLow);
    for (const field of [INODE.accessedAt, INODE.changedAt, INODE.modifiedAt, INODE.createdAt]) {
      bytes.writeUInt32LE(this.at, field);
    }
    bytes.writeUInt16LE(made.links, INODE.links);
    bytes.writeUInt32LE(
      made.extents.reduce((sum, { count }) => sum + (count * BLOCK) / 512, 0),
      INODE.sectors,
    );
    bytes.writeUInt32LE(FLAG_EXTENTS, INODE.flags);
    bytes.writeUInt16LE(32, INODE.extraSize);
    bytes.writeUInt16LE(EXTENT_MAGIC, INODE.blocks);
    bytes.writeUInt16LE(made.extents.length, INODE.blocks + 2);
    bytes.writeUInt16LE(MAX_INLINE_EXTENTS, INODE.blocks + 4);
    made.extents.forEach(({ logical, start, count }, i) => {
      const at = INODE.blocks + 12 + 12 * i;
      bytes.writeUInt32LE(logical, at);
      bytes.writeUInt16LE(count, at + 4);
      bytes.writeUInt32LE(start, at + 8);
    });
  }

  /** Bitmaps, inode tables, descriptors and superblocks, once everything else is placed. */
  finish(): void {
    const descriptors = Buffer.alloc(BLOCK);
    let freeBlocks = 0;
    let freeInodes = 0;
    for (let group = 0; group < this.groups; group++) {
      const bitmap = this.blockBitmaps[group] as Buffer;
      const inodes = this.inodeBitmaps[group] as Buffer;
      const first = this.firstBlock(group) + (hasSuper(group) ? 2 : 0);
      const blocksFree = zeroBits(bitmap);
      const inodesFree = zeroBits(inodes);
      freeBlocks += blocksFree;
      freeInodes += inodesFree;
      const at = 32 * group;
      descriptors.writeUInt32LE(first, at + GROUP.blockBitmap);
      descriptors.writeUInt32LE(first + 1, at + GROUP.inodeBitmap);
      descriptors.writeUInt32LE(first + 2, at + GROUP.inodeTable);
      descriptors.writeUInt16LE(blocksFree, at + GROUP.freeBlocks);
      descriptors.writeUInt16LE(inodesFree, at + GROUP.freeInodes);
      descriptors.writeUInt16LE(this.directoriesIn[group] ?? 0, at + GROUP.directories);
      const table = this.tables[group] as Buffer;
      writeSync(this.fd, bitmap, 0, BLOCK, first * BLOCK);
      writeSync(this.fd, inodes, 0, BLOCK, (first + 1) * BLOCK);
      if (group * INODES_PER_GROUP < this.nextInode) {
        writeSync(this.fd, table, 0, table.length, (first + 2) * BLOCK);
      }
    }
    for (let group = 0; group < this.groups; group++) {
      if (!hasSuper(group)) continue;
      const superblock = this.superblock(freeBlocks, freeInodes, group);
      const at = this.firstBlock(group) * BLOCK;
      writeSync(this.fd, superblock, 0, SUPERBLOCK_BYTES, at + (group === 0 ? SUPERBLOCK_OFFSET : 0));
      writeSync(this.fd, descriptors, 0, BLOCK, at + BLOCK);
    }
  }

  private superblock(freeBlocks: number, freeInodes: number, group: number): Buffer {
    const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
    bytes.writeUInt32LE(this.groups * INODES_PER_GROUP, SUPER.inodesCount);
    bytes.writeUInt32LE(this.blocks, SUPER.blocksCount);
    bytes.writeUInt32LE(freeBlocks, SUPER.freeBlocks);
    bytes.writeUInt32LE(freeInodes, SUPER.freeInodes);
    bytes.writeUInt32LE(Math.log2(BLOCK / 1024), SUPER.logBlockSize);
    bytes.writeUInt32LE(Math.log2(BLOCK / 1024), SUPER.logClusterSize);
    bytes.writeUInt32LE(BLOCKS_PER_GROUP, SUPER.blocksPerGroup);
    bytes.writeUInt32LE(BLOCKS_PER_GROUP, SUPER.clustersPerGroup);
    bytes.writeUInt32LE(INODES_PER_GROUP, SUPER.inodesPerGroup);
    for (const field of [SUPER.writtenAt, SUPER.checkedAt, SUPER.madeAt]) bytes.writeUInt32LE(this.at, field);
    bytes.writeUInt16LE(0xffff, SUPER.maxMounts);
    bytes.writeUInt16LE(MAGIC, SUPER.magic);
    bytes.writeUInt16LE(1, SUPER.state);
    bytes.writeUInt16LE(1, SUPER.errors);
    bytes.writeUInt32LE(1, SUPER.revision);
    bytes.writeUInt32LE(FIRST_INODE, SUPER.firstInode);
    bytes.writeUInt16LE(INODE_BYTES, SUPER.inodeSize);
    bytes.writeUInt16LE(group, SUPER.groupNumber);
    bytes.writeUInt32LE(INCOMPAT.filetype | INCOMPAT.extents, SUPER.incompat);
    bytes.writeUInt32LE(RO_COMPAT.sparseSuper | RO_COMPAT.largeFile, SUPER.roCompat);
    const digest = createHash('sha256').update(this.seed).digest();
    digest.copy(bytes, SUPER.uuid, 0, 16);
    digest.copy(bytes, SUPER.hashSeed, 16, 32);
    bytes.writeUInt8(1, SUPER.hashVersion);
    bytes.write(this.seed.slice(0, 16), SUPER.volumeName, 'latin1');
    bytes.writeUInt16LE(32, SUPER.minExtraInodeSize);
    bytes.writeUInt16LE(32, SUPER.wantExtraInodeSize);
    return bytes;
  }

  private firstBlock(group: number): number {
    return group * BLOCKS_PER_GROUP;
  }
  private blocksIn(group: number): number {
    return Math.min(BLOCKS_PER_GROUP, this.blocks - this.firstBlock(group));
  }
  private overhead(group: number): number {
    return (hasSuper(group) ? 2 : 0) + 2 + TABLE_BLOCKS;
  }
  private groupOf(block: number): number {
    return Math.floor(block / BLOCKS_PER_GROUP);
  }
  private isTaken(block: number): boolean {
    const bit = block % BLOCKS_PER_GROUP;
    return (((this.blockBitmaps[this.groupOf(block)] as Buffer)[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }
  private takeInode(inode: number): void {
    const group = Math.floor((inode - 1) / INODES_PER_GROUP);
    const bitmap = this.inodeBitmaps[group];
    if (!bitmap) throw new RangeError('The image has no inode left.');
    setBit(bitmap, (inode - 1) % INODES_PER_GROUP);
  }
}

/** Copies of superblock and descriptors stand in groups 0, 1 and the powers of 3, 5 and 7. */
function hasSuper(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

function setBit(bitmap: Buffer, bit: number): void {
  bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
}

function zeroBits(bitmap: Buffer): number {
  let zeros = 0;
  for (const byte of bitmap) {
    for (let bits = ~byte & 0xff; bits !== 0; bits &= bits - 1) zeros++;
  }
  return zeros;
}
