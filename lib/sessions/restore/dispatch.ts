import type { Installation } from '../../installation/index.ts';
import { GiB, type JobSpec } from '../../model/index.ts';
import { openChain, readPoint } from '../../repository/index.ts';
import { type Doer, keepPageTable } from '../backup/plan.ts';
import { enterStep } from '../live.ts';
import { need, readState, updateState } from '../state.ts';

/** One job writes the pages of about this much of a disk. */
const PART_BYTES = 64 * GiB;

/** Adds the jobs that write the disks: parts of whole pages. May run again: the jobs are then there. */
export async function dispatchRestore(installation: Installation, sessionId: string): Promise<Doer> {
  await enterStep(installation, sessionId, 'restore');
  const { request, opened } = await readState(installation, sessionId, 'restore');
  const { pool, disks } = need(opened, 'what openRestore found', sessionId);
  const chain = await openChain(await installation.repository(request.repository), request.chainId);
  const { manifest } = await readPoint(chain, request.sequence);
  const pageBytes = chain.blockBytes * chain.pageBlocks;
  const perPart = Math.max(1, Math.floor(PART_BYTES / pageBytes));
  const jobs: { id: string; spec: JobSpec }[] = [];
  let total = 0;
  for (const { number, sizeBytes, targetId } of disks) {
    const disk = need(
      manifest.disks.find((entry) => entry.number === number) ?? null,
      `disk ${number}`,
      sessionId,
    );
    total += disk.allocatedBytes;
    const table = await keepPageTable(installation, chain, sessionId, { manifest, disk: number });
    const pages = Math.ceil(sizeBytes / pageBytes);
    for (let part = 0; part * perPart < pages; part++) {
      const pageFrom = part * perPart;
      jobs.push({
        id: `restore-${number}-${part}`,
        spec: {
          kind: 'restore',
          chain: { id: chain.id, blockBytes: chain.blockBytes },
          disk: number,
          sizeBytes,
          table,
          pageFrom,
          pageTo: Math.min(pages, pageFrom + perPart),
          targetDiskId: targetId,
        },
      });
    }
  }
  const small = total <= installation.settings.HOLDFAST_INLINE_BYTES;
  const by = request.mover === 'inline' || (request.mover === 'auto' && small) ? 'app' : 'worker';
  await updateState(installation, sessionId, 'restore', (state) => ({ ...state, inline: by === 'app' }));
  await installation.queue.addJobs(pool, sessionId, jobs);
  return { by };
}
