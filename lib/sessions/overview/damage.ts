import { type CheckedPoint, damageReport, type PointDamage } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import { isHoldfastError } from '../../model/index.ts';
import { type Chain, openChain, readPointState } from '../../repository/index.ts';

/** A restore point that cannot be restored whole, with everything that its damage affects. */
export interface DamagedPoint {
  readonly name: string;
  readonly machineId: string;
  readonly machineName: string;
  readonly takenAt: string;
  readonly kind: PointDamage['kind'];
  /** Names of the other restore points that reach the same damaged objects. */
  readonly affects: readonly string[];
  /** Blocks that cannot be read, by disk; empty when none of it can. */
  readonly disks: readonly { readonly disk: number; readonly name: string; readonly blocks: number }[];
  /** For a person: what it means, and what becomes of it. */
  readonly what: string;
}

type Row = Awaited<ReturnType<Installation['catalog']['points']['list']>>[number];

/** The damaged and missing restore points, of one machine or of all, as checks and sessions have found them. */
export async function listDamage(installation: Installation, machineId?: string): Promise<DamagedPoint[]> {
  const { points } = installation.catalog;
  const found: DamagedPoint[] = [];
  for (const machine of machineId === undefined ? await points.machines() : [machineId]) {
    for (const chainId of await points.chainsOf(machine)) {
      const rows = await points.list(chainId);
      if (rows.some(isWrong)) found.push(...(await ofChain(installation, chainId, rows)));
    }
  }
  return found;
}

const isWrong = ({ damaged, missing }: Row): boolean => damaged || missing;

async function ofChain(
  installation: Installation,
  chainId: string,
  rows: readonly Row[],
): Promise<DamagedPoint[]> {
  const chain = await chainOf(installation, chainId, rows[0]?.repositoryId ?? null);
  const wrong = new Map<number, { row: Row; lost: DamagedPoint['disks'] }>();
  const checked: CheckedPoint[] = [];
  for (const row of rows.filter(isWrong)) {
    const { damage, lost } = await damageOf(chain, row);
    wrong.set(row.point.sequence, { row, lost });
    checked.push({ sequence: row.point.sequence, damage });
  }
  return damageReport(checked).flatMap(({ sequence, kind, affects, what }) => {
    const known = wrong.get(sequence);
    if (!known) return [];
    const { machineId, machineName, takenAt } = known.row.point;
    return {
      name: `${chainId}/${sequence}`,
      machineId,
      machineName,
      takenAt,
      kind,
      affects: affects.map((other) => `${chainId}/${other}`),
      disks: known.lost,
      what,
    };
  });
}

/** What a point's own state says of its damage; where nothing can be read of it, that it is unreadable. */
async function damageOf(
  chain: Chain | null,
  { point, missing }: Row,
): Promise<{ damage: PointDamage; lost: DamagedPoint['disks'] }> {
  if (missing) return { damage: { kind: 'missing' }, lost: [] };
  const state = chain && (await stateOf(chain, point.sequence));
  if (!state || state.damage.length === 0) return { damage: { kind: 'unreadable' }, lost: [] };
  const objects = [...new Set(state.damage.flatMap((disk) => disk.objects))];
  const lost = state.damage.map(({ disk, blocks }) => ({
    disk,
    name: point.disks.find(({ number }) => number === disk)?.name ?? String(disk),
    blocks,
  }));
  return { damage: { kind: 'data', objects }, lost };
}

const unreadable = (error: unknown): boolean =>
  isHoldfastError(error, 'missingObject') || isHoldfastError(error, 'corruptObject');

async function stateOf(chain: Chain, sequence: number) {
  try {
    return await readPointState(chain, sequence);
  } catch (error) {
    if (unreadable(error)) return null;
    throw error;
  }
}

async function chainOf(
  installation: Installation,
  chainId: string,
  repositoryId: string | null,
): Promise<Chain | null> {
  try {
    return await openChain(await installation.repositoryById(repositoryId), chainId);
  } catch (error) {
    if (unreadable(error)) return null;
    throw error;
  }
}
