import { isHoldfastError } from '../model/index.ts';

/**
 * `structure`: every document, manifest, tree, page and pack index is authentic and fits, every pack that a point needs is
 * there in its length. `content`: besides, every block of those packs decrypts, expands and has its digest.
 */
export type CheckDepth = 'structure' | 'content';

/** Damage of one object. */
export interface Finding {
  readonly object: string;
  readonly problem: string;
  /** Restore points that need the object: `<chain>/<sequence>`. */
  readonly points: readonly string[];
}

export interface GarbageObject {
  readonly object: string;
  readonly why: string;
}

export interface CheckResult {
  /** Damage. A repository without findings restores every point. */
  readonly findings: readonly Finding[];
  /** Objects that no restore point needs: left by crashes, lost races and removals, or of sessions under way. Harmless. */
  readonly garbage: readonly GarbageObject[];
  readonly chains: number;
  readonly points: number;
  /** Packs that points need, and blocks that were decoded (0 at depth `structure`). */
  readonly packs: number;
  readonly blocks: number;
}

/** Gathers what a check finds: one finding an object, the first problem. */
export class CheckReport {
  chains = 0;
  points = 0;
  packs = 0;
  blocks = 0;
  readonly #findings = new Map<string, { problem: string; points: Set<string> }>();
  readonly #generations = new Map<string, string[]>();
  readonly #garbage: GarbageObject[] = [];

  found(object: string, problem: string, points: Iterable<string> = []): void {
    const known = this.#findings.get(object) ?? { problem, points: new Set<string>() };
    if (!this.#findings.has(object)) this.#noteGeneration(object);
    for (const point of points) known.points.add(point);
    this.#findings.set(object, known);
  }

  #noteGeneration(object: string): void {
    const pack = object.replace(/(\.g\d+)?\.pack$/, '.pack');
    if (!pack.endsWith('.pack')) return;
    this.#generations.set(pack, [...(this.#generations.get(pack) ?? []), object]);
  }

  affects(object: string, point: string): void {
    this.#findings.get(object)?.points.add(point);
  }

  /** Damaged objects that hold blocks of this pack: itself, and compacted generations of it. */
  damagedGenerations(pack: string): readonly string[] {
    return this.#generations.get(pack) ?? [];
  }

  get damaged(): number {
    return this.#findings.size;
  }

  unneeded(object: string, why: string): void {
    this.#garbage.push({ object, why });
  }

  /** Runs a step; damage it throws becomes a finding (of `points`), and the answer is null. */
  async guard<T>(step: () => Promise<T>, points: Iterable<string> = []): Promise<T | null> {
    try {
      return await step();
    } catch (error) {
      if (!isHoldfastError(error, 'corruptObject') && !isHoldfastError(error, 'missingObject')) throw error;
      this.found(error.target ?? 'unknown', error.message, points);
      return null;
    }
  }

  result(): CheckResult {
    return {
      findings: [...this.#findings].map(([object, { problem, points }]) => ({
        object,
        problem,
        points: [...points],
      })),
      garbage: this.#garbage,
      chains: this.chains,
      points: this.points,
      packs: this.packs,
      blocks: this.blocks,
    };
  }
}
