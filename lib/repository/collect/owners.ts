/** Reached by more than one. */
export const MANY = -1;

/** Who reaches each record of each object: nobody (0), one owner (from 1), or many. Four bytes a record. */
export class Owners {
  readonly #objects = new Map<string, Int32Array>();

  merge(object: string, record: number, owner: number): void {
    let records = this.#objects.get(object) ?? new Int32Array(8);
    if (record >= records.length) {
      const larger = new Int32Array(Math.max(record + 1, records.length * 2));
      larger.set(records);
      records = larger;
    }
    this.#objects.set(object, records);
    const before = records[record] ?? 0;
    records[record] = before === 0 || before === owner ? owner : MANY;
  }

  of(object: string, record: number): number {
    return this.#objects.get(object)?.[record] ?? 0;
  }
}
