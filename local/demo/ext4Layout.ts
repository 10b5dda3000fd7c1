/**
 * The few numbers of ext4 on disk that the writer and the reader share. Source: the kernel's
 * Documentation/filesystems/ext4 ("Data Structures and Algorithms"). Everything is little-endian.
 */
export const BLOCK = 4096;
export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_BYTES = 1024;
export const MAGIC = 0xef53;
export const EXTENT_MAGIC = 0xf30a;
export const ROOT_INODE = 2;

export const INCOMPAT = { filetype: 0x2, extents: 0x40, is64bit: 0x80 } as const;
export const RO_COMPAT = { sparseSuper: 0x1, largeFile: 0x2 } as const;

export const MODE = { directory: 0x4000, file: 0x8000, mask: 0xf000 } as const;
export const FILE_TYPE = { file: 1, directory: 2 } as const;
export const FLAG_EXTENTS = 0x80000;

/** Field offsets in the superblock. */
export const SUPER = {
  inodesCount: 0,
  blocksCount: 4,
  freeBlocks: 12,
  freeInodes: 16,
  firstDataBlock: 20,
  logBlockSize: 24,
  logClusterSize: 28,
  blocksPerGroup: 32,
  clustersPerGroup: 36,
  inodesPerGroup: 40,
  writtenAt: 48,
  maxMounts: 54,
  magic: 56,
  state: 58,
  errors: 60,
  checkedAt: 64,
  revision: 76,
  firstInode: 84,
  inodeSize: 88,
  groupNumber: 90,
  compat: 92,
  incompat: 96,
  roCompat: 100,
  uuid: 104,
  volumeName: 120,
  hashSeed: 236,
  hashVersion: 252,
  descriptorSize: 254,
  madeAt: 264,
  minExtraInodeSize: 348,
  wantExtraInodeSize: 350,
} as const;

/** Field offsets in an inode. */
export const INODE = {
  mode: 0,
  sizeLow: 4,
  accessedAt: 8,
  changedAt: 12,
  modifiedAt: 16,
  links: 26,
  sectors: 28,
  flags: 32,
  blocks: 40,
  sizeHigh: 108,
  extraSize: 128,
  createdAt: 144,
} as const;

/** Field offsets in a group descriptor (the first 32 bytes, which every ext4 has). */
export const GROUP = {
  blockBitmap: 0,
  inodeBitmap: 4,
  inodeTable: 8,
  freeBlocks: 12,
  freeInodes: 14,
  directories: 16,
  inodeTableHigh: 40,
} as const;
