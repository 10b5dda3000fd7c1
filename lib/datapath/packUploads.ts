import { type BlobStore, createOnce, type FinishedPack } from '../repository/index.ts';
import { writtenTwice } from './planFile.ts';
import { UnderWay } from './underWay.ts';

const AT_ONCE = 3;

/** Stores packs while the next ones are being filled; at most three wait in memory. */
export class PackUploads {
  /** Bytes stored so far. */
  storedBytes = 0;
  packs = 0;
  readonly #data: BlobStore;
  readonly #signal: AbortSignal;
  readonly #underWay = new UnderWay(AT_ONCE);

  constructor(data: BlobStore, signal: AbortSignal) {
    this.#data = data;
    this.#signal = signal;
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
    this.storedBytes += bytes.length;
    this.packs++;
    stored();
  }
}
