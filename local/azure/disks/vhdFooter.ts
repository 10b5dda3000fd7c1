/**
 * The footer that makes raw disk content a fixed VHD: 512 bytes, big-endian, after the last byte of the disk.
 * Layout: "Virtual Hard Disk Image Format Specification", Microsoft, 2006, hard disk footer format.
 */
import { createHash } from 'node:crypto';
import type { DiskStore } from './types.ts';

export const FOOTER_BYTES = 512;

const COOKIE = 'conectix';
const FIXED = 2;
const CHECKSUM_AT = 64;

/** The footer of a disk of `sizeBytes`. The same for every snapshot of a lineage, so that an unchanged disk has an unchanged footer. */
export function fixedVhdFooter(sizeBytes: number, lineage: string): Buffer {
  const footer = Buffer.alloc(FOOTER_BYTES);
  footer.write(COOKIE, 0, 'latin1');
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x00010000, 12);
  footer.fill(0xff, 16, 24);
  // With "win " readers believe the size; other creators make some compute it from the geometry.
  footer.write('win ', 28, 'latin1');
  footer.writeUInt32BE(0x000a0000, 32);
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(sizeBytes), 40);
  footer.writeBigUInt64BE(BigInt(sizeBytes), 48);
  const { cylinders, heads, sectors } = geometry(sizeBytes / 512);
  footer.writeUInt16BE(cylinders, 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(sectors, 59);
  footer.writeUInt32BE(FIXED, 60);
  createHash('sha256').update(lineage).digest().copy(footer, 68, 0, 16);
  footer.writeUInt32BE(checksum(footer), CHECKSUM_AT);
  return footer;
}

type FooterVerdict = { ok: true } | { ok: false; code: 'InvalidVhd'; message: string };

/**
 * Judges the footer of a disk that is being uploaded, as the platform does when the write access ends. `blobUrl` is named in the message:
 * without its query.
 */
export async function validateFooter(store: DiskStore, id: string, blobUrl: string): Promise<FooterVerdict> {
  const { sizeBytes: uploadBytes } = store.describe(id);
  const sizeBytes = uploadBytes - FOOTER_BYTES;
  const footer = await store.read(id, sizeBytes, FOOTER_BYTES);
  const disk = `disk 'abcd' with blob ${blobUrl.split('?', 1)[0]}`;
  const invalid = (message: string): FooterVerdict => ({ ok: false, code: 'InvalidVhd', message });
  if (footer.toString('latin1', 0, 8) !== COOKIE) {
    return invalid(
      `The specified cookie value in VHD footer indicates that ${disk} is not a supported VHD. Disk is expected to have cookie value '${COOKIE}'.`,
    );
  }
  if (footer.readUInt32BE(CHECKSUM_AT) !== checksum(footer)) {
    return invalid(`The checksum in the VHD footer of ${disk} does not match its content.`);
  }
  if (footer.readUInt32BE(60) !== FIXED) {
    return invalid(
      `The VHD footer of ${disk} has disk type ${footer.readUInt32BE(60)}. Only fixed disks (type 2) are supported.`,
    );
  }
  if (footer.readBigUInt64BE(48) !== BigInt(sizeBytes)) {
    return invalid(
      `The VHD footer of ${disk} gives a size of ${footer.readBigUInt64BE(48)} bytes; expected are ${sizeBytes}.`,
    );
  }
  return { ok: true };
}

/** One's complement of the sum of all bytes but the checksum's own. */
function checksum(footer: Buffer): number {
  let sum = 0;
  for (let at = 0; at < FOOTER_BYTES; at += 1)
    if (at < CHECKSUM_AT || at >= CHECKSUM_AT + 4) sum += footer[at] as number;
  return ~sum >>> 0;
}

/** The specification's appendix "CHS calculation". */
function geometry(totalSectors: number): { cylinders: number; heads: number; sectors: number } {
  const total = Math.min(totalSectors, 65535 * 16 * 255);
  let sectors = 255;
  let heads = 16;
  let tracks = Math.floor(total / sectors);
  if (total < 65535 * 16 * 63) {
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
