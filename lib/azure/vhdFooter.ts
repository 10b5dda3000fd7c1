/** Size of a VHD footer: what follows the disk's bytes in an upload, and in what a snapshot's SAS shows. */
export const VHD_FOOTER_BYTES = 512;

const FIXED = 2;
/** Seconds since 2000-01-01 UTC are how a VHD counts time. */
const EPOCH_MS = Date.UTC(2000, 0, 1);

/**
 * The footer of a fixed VHD of `sizeBytes` (a multiple of 512): 512 bytes, big-endian. Azure checks it when access to an uploaded disk is
 * revoked. Source: Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format". `id` (16 bytes) and `created` only
 * identify the image.
 */
export function vhdFooter(sizeBytes: number, options: { id?: Buffer; created?: Date } = {}): Buffer {
  const footer = Buffer.alloc(VHD_FOOTER_BYTES);
  const created = (options.created ?? new Date(EPOCH_MS)).getTime();
  footer.write('conectix', 0, 'latin1');
  footer.writeUInt32BE(2, 8); // features: the bit that is always set
  footer.writeUInt32BE(0x0001_0000, 12); // format version 1.0
  footer.fill(0xff, 16, 24); // data offset: none, the disk is fixed
  footer.writeUInt32BE(Math.max(0, Math.floor((created - EPOCH_MS) / 1000)), 24);
  footer.write('win ', 28, 'latin1'); // with this creator, tools take the size from the field, not from the geometry
  footer.writeUInt32BE(0x000a_0000, 32);
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(sizeBytes), 40);
  footer.writeBigUInt64BE(BigInt(sizeBytes), 48);
  const { cylinders, heads, sectors } = geometry(sizeBytes);
  footer.writeUInt16BE(cylinders, 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(sectors, 59);
  footer.writeUInt32BE(FIXED, 60);
  (options.id ?? Buffer.alloc(16)).copy(footer, 68, 0, 16);
  footer.writeUInt32BE(checksum(footer), 64);
  return footer;
}

/** One's complement of the sum of all bytes but the checksum's own. */
function checksum(footer: Buffer): number {
  let sum = 0;
  for (const [at, byte] of footer.entries()) if (at < 64 || at >= 68) sum += byte;
  return ~sum >>> 0;
}

/** Cylinders, heads and sectors, by the algorithm in the specification's appendix. */
function geometry(sizeBytes: number): { cylinders: number; heads: number; sectors: number } {
  const total = Math.min(Math.floor(sizeBytes / 512), 65_535 * 16 * 255);
  let sectors: number;
  let heads: number;
  let tracks: number;
  if (total >= 65_535 * 16 * 63) {
    sectors = 255;
    heads = 16;
    tracks = Math.floor(total / sectors);
  } else {
    sectors = 17;
    tracks = Math.floor(total / sectors);
    heads = Math.max(4, Math.floor((tracks + 1023) / 1024));
    if (tracks >= heads * 1024 || heads > 16) {
      sectors = 31;
      heads = 16;
      tracks = Math.floor(total / sectors);
    }
    if (tracks >= heads * 1024) {
      sectors = 63;
      heads = 16;
      tracks = Math.floor(total / sectors);
    }
  }
  return { cylinders: Math.floor(tracks / heads), heads, sectors };
}
