import { type BlobStore, createOnce, type FinishedPack } from '../repository/index.ts';
import { writtenTwice } from './planFile.ts';
import { UnderWay } from './underWay.ts';

/** Stores packs while the next ones are being filled; at most `atOnce` wait in memory. */
export class PackUploads {
  readonly #data: BlobStore;
  readonly #signal: AbortSignal;
  readonly #underWay: UnderWay;

  constructor(data: BlobStore, signal: AbortSignal, atOnce: number) {
    this.#data = data;
    this.#signal = signal;
    this.#underWay = new UnderWay(atOnce);
  }

  /**
   * Resolves when there is room for another pack; throws what an earlier upload failed with. `stored` is called when the
   * pack's memory is free again.
   */
  add(pack: FinishedPack, stored: () => void): Promise<void> {
    return this.#underWay.add(this.#store(pack, stored));
  }

  /** Resolves when all packs are stored. */
  done(): Promise<void> {
    return this.#underWay.done();
  }

  /** Resolves when nothing is under way any more, however it ended. */
  settle(): Promise<void> {
    return this.#underWay.settle();
  }

  async #store({ name, bytes }: FinishedPack, stored: () => void): Promise<void> {
    if ((await createOnce(this.#data, name, bytes, this.#signal)) === 'taken') throw writtenTwice(name);
    stored();
  }
}
