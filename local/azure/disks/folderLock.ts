/** One process at a time in a store's folder. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DiskStoreError } from './errors.ts';

export interface FolderLock {
  close(): void;
}

/** The lock ends with the process, however it ends: the database engine takes it from the operating system. */
export function lockFolder(folder: string): FolderLock {
  const lock = new DatabaseSync(join(folder, 'lock'));
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
  } catch {
    lock.close();
    throw new DiskStoreError(
      'inUse',
      `The disk store ${folder} is in use by another process. Stop that one first, or choose another folder.`,
    );
  }
  return lock;
}
