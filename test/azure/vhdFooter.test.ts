import { describe, expect, it } from 'vitest';
import { vhdFooter } from '../../lib/azure/vhdFooter.ts';
import { GiB, MiB, TiB } from '../../lib/model/index.ts';

const checksumOf = (footer: Buffer) => {
  const copy = Buffer.from(footer);
  copy.fill(0, 64, 68);
  return (~copy.reduce((sum, byte) => sum + byte, 0) & 0xffff_ffff) >>> 0;
};

describe('the footer of a fixed VHD', () => {
  it('has the bytes of the specification', () => {
    const footer = vhdFooter(1 * GiB, {
      id: Buffer.from('00112233445566778899aabbccddeeff', 'hex'),
      created: new Date('2000-01-01T01:00:00Z'),
    });
    // Written out by hand from the field table: 1 GiB is 2097152 sectors = 2080 cylinders x 16 heads x 63 sectors.
    const expected = [
      '636f6e6563746978', // conectix
      '00000002', // features
      '00010000', // version
      'ffffffffffffffff', // data offset
      '00000e10', // an hour after 2000-01-01
      '77696e20', // creator
      '000a0000',
      '5769326b',
      '0000000040000000', // original size
      '0000000040000000', // current size
      '0820103f', // geometry
      '00000002', // fixed
    ].join('');
    expect(footer.subarray(0, 64).toString('hex')).toBe(expected);
    expect(footer.subarray(68, 84).toString('hex')).toBe('00112233445566778899aabbccddeeff');
    expect(footer.subarray(84).every((byte) => byte === 0)).toBe(true);
    expect(footer.length).toBe(512);
    expect(footer.readUInt32BE(64)).toBe(checksumOf(footer));
    expect(footer.readUInt32BE(64)).toBe(0xffff_e8c3);
  });

  it.each([20 * MiB, 32 * GiB, 127 * GiB, 4 * TiB, 32_767 * GiB])(
    'holds the size of a disk of %i bytes exactly',
    (size) => {
      const footer = vhdFooter(size);
      expect(footer.readBigUInt64BE(48)).toBe(BigInt(size));
      expect(footer.readUInt32BE(64)).toBe(checksumOf(footer));
      // The geometry never says more than the disk has.
      expect(footer.readUInt16BE(56) * footer.readUInt8(58) * footer.readUInt8(59) * 512).toBeLessThanOrEqual(
        size,
      );
    },
  );
});
