import { fromFailure, type HoldfastError, isHoldfastError } from '../model/index.ts';
import type { PackAt, PackExam, PackExaminer } from '../repository/index.ts';
import type { Lanes, PackExamined, PackToExamine } from './lanes.ts';
import { runLanes } from './runLanes.ts';

interface Asked {
  readonly work: PackToExamine;
  resolve(exam: PackExam): void;
  reject(error: unknown): void;
}

/** Looks into packs of one chain in the lanes of `threads`: on every core, instead of in the thread of who checks. */
export class LaneExaminer implements PackExaminer {
  readonly atOnce: number;
  readonly #asked: Asked[] = [];
  readonly #underWay = new Map<string, Asked>();
  readonly #run: Promise<void>;
  #wake: () => void = () => {};
  #closed = false;

  constructor(lanes: Lanes, signal: AbortSignal) {
    // Each lane has two in hand and one that waits.
    this.atOnce = lanes.count * 3;
    const work = this.#work();
    this.#run = runLanes({ lanes, signal }, null, {
      setup: () => ({ kind: 'examine' }),
      work,
      report: (report) => {
        if (report.kind === 'examined') this.#answer(report);
      },
    });
    this.#run.catch((error: unknown) => this.#fail(error));
  }

  examine({ pack, generation, name, index }: PackAt): Promise<PackExam> {
    return new Promise((resolve, reject) => {
      const work = { kind: 'pack' as const, pack, generation, name, index: index.encode() };
      this.#asked.push({ work, resolve, reject });
      this.#wake();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#run;
  }

  async *#work(): AsyncGenerator<PackToExamine> {
    for (;;) {
      const next = this.#asked.shift();
      if (next) {
        this.#underWay.set(next.work.name, next);
        yield next.work;
      } else if (this.#closed) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #answer({ name, problem, bad, blocks, bytes }: PackExamined): void {
    const asked = this.#underWay.get(name);
    this.#underWay.delete(name);
    asked?.resolve({ name, problem: problem && damageOf(problem), bad, blocks, bytes });
  }

  #fail(error: unknown): void {
    for (const asked of [...this.#underWay.values(), ...this.#asked.splice(0)]) asked.reject(error);
    this.#underWay.clear();
  }
}

function damageOf(failure: NonNullable<PackExamined['problem']>): HoldfastError {
  const error = fromFailure(failure);
  if (isHoldfastError(error)) return error;
  throw error;
}
