/** What is wrong with a restore point, as a check of the repository or a comparison with its listing found it. */
export type PointDamage =
  /** Its manifest or its tree is gone: removed outside of Holdfast. */
  | { readonly kind: 'missing' }
  /** Its manifest or its tree is there, and cannot be read or is not authentic. */
  | { readonly kind: 'unreadable' }
  /** Packs or map objects that it reaches are gone or damaged. Names of the objects. */
  | { readonly kind: 'data'; readonly objects: readonly string[] };

export interface CheckedPoint {
  readonly sequence: number;
  readonly damage: PointDamage | null;
}

export interface DamageReport {
  readonly sequence: number;
  readonly kind: PointDamage['kind'];
  /** Other points that reach the same damaged objects, ascending. */
  readonly affects: readonly number[];
  /** For a person: what it means, and what becomes of it. */
  readonly what: string;
}

/**
 * Each damaged point of a chain with everything that its damage affects, ascending. A point that is missing or unreadable
 * affects no other: each reaches its blocks by itself. Damage to an object that several points share affects exactly those.
 */
export function damageReport(points: readonly CheckedPoint[]): DamageReport[] {
  const damaged = points.filter(({ damage }) => damage !== null).sort((a, b) => a.sequence - b.sequence);
  return damaged.flatMap(({ sequence, damage }): DamageReport[] => {
    if (damage === null) return [];
    const { kind } = damage;
    if (kind !== 'data') {
      const state = kind === 'missing' ? 'is missing: it was removed outside of Holdfast' : 'cannot be read';
      return [
        {
          sequence,
          kind,
          affects: [],
          what: `Restore point ${sequence} ${state}. Nothing else is affected: every other restore point reaches its blocks by itself.`,
        },
      ];
    }
    const affects = damaged
      .filter(({ sequence: other, damage: its }) => other !== sequence && share(damage, its))
      .map(({ sequence: other }) => other);
    const others =
      affects.length > 0
        ? `Restore points ${affects.join(', ')} reach some of the same and are damaged too; all others are whole`
        : 'No other restore point reaches them; all others are whole';
    const count = damage.objects.length === 1 ? '1 object' : `${damage.objects.length} objects`;
    return [
      {
        sequence,
        kind,
        affects,
        what: `Restore point ${sequence} lacks ${count} (${damage.objects.join(', ')}). ${others}. The next backup reads these blocks again and stores them anew.`,
      },
    ];
  });
}

const share = (a: PointDamage, b: PointDamage | null): boolean =>
  a.kind === 'data' && b?.kind === 'data' && a.objects.some((object) => b.objects.includes(object));

/**
 * The points that the catalog knows and the repository no longer has, ascending: removed by somebody else.
 *
 * @param known sequences of the points that were committed and not removed
 * @param found sequences of the points that a listing of the repository shows, read after `known`
 */
export const missingPoints = (known: readonly number[], found: ReadonlySet<number>): number[] =>
  known.filter((sequence) => !found.has(sequence)).sort((a, b) => a - b);
