import { LaneExaminer, LaneThreads } from '../../lib/datapath/index.ts';
import { encodeChainKeys, type OpenExaminer } from '../../lib/repository/index.ts';
import type { Place } from './location.ts';

/** What a thread needs to look into packs of one chain: plain data, with secrets in it. */
export interface ExamineAccess {
  readonly place: Place;
  readonly chain: string;
  readonly blockBytes: number;
  readonly chainKey: Uint8Array;
}

/** Looks into packs on every core. `onRead` learns how many bytes were read. */
export class ExamineThreads {
  readonly open: OpenExaminer;
  readonly #threads = new LaneThreads(new URL('./examineThread.ts', import.meta.url));

  constructor(place: Place, signal: AbortSignal, onRead: (bytes: number) => void) {
    this.open = ({ id: chain, blockBytes, keys }) => {
      const access: ExamineAccess = { place, chain, blockBytes, chainKey: encodeChainKeys(keys) };
      const renew = () => Promise.resolve(access);
      const lanes = new LaneExaminer(this.#threads.forJob({ current: () => access, renew }), signal);
      return {
        atOnce: lanes.atOnce,
        examine: async (at) => {
          const exam = await lanes.examine(at);
          onRead(exam.bytes);
          return exam;
        },
        close: () => lanes.close(),
      };
    };
  }

  close(): Promise<void> {
    return this.#threads.close();
  }
}
