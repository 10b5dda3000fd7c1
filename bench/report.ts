import type { MetadataCost } from './metadata.ts';
import type { BenchReport, Run } from './runs.ts';

const OPS = ['full', 'incremental', 'restore', 'verify'] as const;

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const one = (value: number): string => value.toFixed(2);

/** Prints the report as Markdown: times, ratios to Holdfast, the limit, the cost of metadata. */
export function printReport(report: BenchReport & { metadata: readonly MetadataCost[] }): void {
  const { machine, images, runs, limit, rounds, absent, versions, metadata } = report;
  const print = (line = '') => console.log(line);
  print(
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.load.join(' ')} at the start.`,
  );
  print(
    `Image ${one(images.sizeBytes / 2 ** 30)} GiB, ${one(images.allocatedBytes / 2 ** 30)} GiB allocated; the next version differs in ${(images.changedBytes / 2 ** 20).toFixed(0)} MiB (${((images.changedBytes / images.sizeBytes) * 100).toFixed(1)} %). Medians of ${rounds}, in turn.`,
  );
  for (const version of Object.values(versions)) print(version);
  for (const line of absent) print(line);
  print();
  print(row(['op', 'tool', 'wall s', 'cpu s', 'peak MiB', 'stored MB', 'servers cpu s', 'requests']));
  print(row(['---', '---', '---:', '---:', '---:', '---:', '---:', '---:']));
  const ours = (op: Run['op']) => runs.filter((run) => run.tool === 'holdfast' && run.op === op);
  for (const op of OPS) {
    for (const run of runs.filter((each) => each.op === op)) {
      print(
        row([
          op,
          run.compare === false ? 'holdfast, not compared' : run.tool,
          one(run.wallS),
          one(run.cpuS),
          run.rssMiB.toFixed(0),
          run.storedBytes === 0 ? '' : (run.storedBytes / 1e6).toFixed(0),
          run.serversCpuS === undefined ? '' : one(run.serversCpuS),
          run.requests ?? '',
        ]),
      );
    }
  }
  const peers = runs.filter(({ tool }) => tool !== 'holdfast');
  if (peers.length > 0) {
    print();
    print(row(['ratio', 'speed', 'cpu', 'stored']));
    print(row(['---', '---:', '---:', '---:']));
    for (const peer of peers) {
      for (const own of ours(peer.op)) {
        print(
          row([
            `${peer.op}${own.compare === false ? ', not compared' : ''}, to ${peer.tool}`,
            `${one(peer.wallS / own.wallS)}x`,
            `${((own.cpuS / peer.cpuS) * 100).toFixed(0)} %`,
            peer.storedBytes > 0 ? `${((own.storedBytes / peer.storedBytes) * 100).toFixed(1)} %` : '',
          ]),
        );
      }
    }
  }
  print();
  const percent = (of: number) => `${(of * 100).toFixed(0)} %`;
  print(
    `Limit of ${limit.threads} threads in memory: ${limit.backupMBs.toFixed(0)} MB/s, with decode-and-compare ${limit.comparedMBs.toFixed(0)} MB/s; a full backup reached ${percent(limit.fraction)} and ${percent(limit.comparedFraction)} of it.`,
  );
  if (metadata.length === 0) return;
  print();
  print(row(['metadata', 'value']));
  print(row(['---', '---:']));
  for (const { what, value } of metadata) print(row([what, value]));
}
