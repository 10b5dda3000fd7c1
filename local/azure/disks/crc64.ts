/**
 * The 64-bit CRC of Azure Storage (`x-ms-content-crc64`): reflected, polynomial 0x9A6C9329AC4BC9B5, all ones before and after; eight bytes
 * little-endian. Halves of 32 bits and eight tables, since 64-bit arithmetic in JavaScript allocates.
 */
const POLYNOMIAL = 0x9a6c9329ac4bc9b5n;
const LOW = new Uint32Array(8 * 256);
const HIGH = new Uint32Array(8 * 256);

for (let byte = 0; byte < 256; byte += 1) {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit += 1) value = value & 1n ? (value >> 1n) ^ POLYNOMIAL : value >> 1n;
  LOW[byte] = Number(value & 0xffffffffn);
  HIGH[byte] = Number(value >> 32n);
}
for (let entry = 256; entry < 8 * 256; entry += 1) {
  const low = LOW[entry - 256] as number;
  const high = HIGH[entry - 256] as number;
  LOW[entry] = ((low >>> 8) | (high << 24)) ^ (LOW[low & 255] as number);
  HIGH[entry] = (high >>> 8) ^ (HIGH[low & 255] as number);
}

/** The CRC of the bytes, as the header shows it: base64 of eight bytes. */
export function crc64(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.byteLength - (bytes.byteLength % 8);
  let low = 0xffffffff;
  let high = 0xffffffff;
  for (let at = 0; at < whole; at += 8) {
    const a = low ^ view.getUint32(at, true);
    const b = high ^ view.getUint32(at + 4, true);
    low = mix(LOW, a, b);
    high = mix(HIGH, a, b);
  }
  for (let at = whole; at < bytes.byteLength; at += 1) {
    const index = (low ^ (bytes[at] as number)) & 255;
    low = ((low >>> 8) | (high << 24)) ^ (LOW[index] as number);
    high = (high >>> 8) ^ (HIGH[index] as number);
  }
  const result = Buffer.alloc(8);
  result.writeUInt32LE(~low >>> 0, 0);
  result.writeUInt32LE(~high >>> 0, 4);
  return result.toString('base64');
}

function mix(table: Uint32Array, a: number, b: number): number {
  return (
    (table[1792 + (a & 255)] as number) ^
    (table[1536 + ((a >>> 8) & 255)] as number) ^
    (table[1280 + ((a >>> 16) & 255)] as number) ^
    (table[1024 + (a >>> 24)] as number) ^
    (table[768 + (b & 255)] as number) ^
    (table[512 + ((b >>> 8) & 255)] as number) ^
    (table[256 + ((b >>> 16) & 255)] as number) ^
    (table[b >>> 24] as number)
  );
}
