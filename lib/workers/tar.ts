/** As much of the ustar format as a package of plain files needs (POSIX.1-1988, "ustar Interchange Format"). */
const RECORD = 512;

/** Two empty records end an archive. */
export const TRAILER: Buffer = Buffer.alloc(2 * RECORD);

/** The header of a plain file. Name up to 100 bytes, size under 8 GiB. Owner root, time 0, so that equal files give equal archives. */
export function tarHeader({ name, mode, size }: { name: string; mode: number; size: number }): Buffer {
  const header = Buffer.alloc(RECORD);
  const octal = (value: number, at: number, width: number) =>
    header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'ascii');
  header.write(name, 0, 100, 'utf8');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  header.write('0', 156, 'ascii');
  header.write('ustar\x0000', 257, 'ascii');
  header.write('root', 265, 'ascii');
  header.write('root', 297, 'ascii');
  // The sum is taken with its own field as spaces, and written as six digits, a NUL and a space.
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii');
  return header;
}

/** What fills the last record of a file of `size` bytes. */
export const paddingOf = (size: number): Buffer => Buffer.alloc((RECORD - (size % RECORD)) % RECORD);
