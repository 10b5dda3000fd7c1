/** Remembers records by object, a bit each. */
export class SeenRecords {
  readonly #seen = new Map<string, Uint8Array>();

  /** True when the record is new. */
  add(object: string, record: number): boolean {
    let bits = this.#seen.get(object) ?? new Uint8Array(8);
    if (record >> 3 >= bits.length) {
      const larger = new Uint8Array(Math.max(bits.length * 2, (record >> 3) + 1));
      larger.set(bits);
      bits = larger;
    }
    this.#seen.set(object, bits);
    const byte = bits[record >> 3] ?? 0;
    bits[record >> 3] = byte | (1 << (record & 7));
    return (byte & (1 << (record & 7))) === 0;
  }
}
