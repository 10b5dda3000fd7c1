/** `npm run bench`: see README.md. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeImages, openImages, spreadOver } from './image.ts';
import { metadataCosts } from './metadata.ts';
import { PEERS, type PeerName } from './peers.ts';
import { printReport } from './report.ts';
import { runBench } from './runs.ts';

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

const { values } = parseArgs({
  options: {
    image: { type: 'string' },
    next: { type: 'string' },
    peers: { type: 'string' },
    runs: { type: 'string', default: '3' },
    size: { type: 'string', default: '4' },
    folder: { type: 'string' },
    block: { type: 'string' },
    spread: { type: 'string', default: '1' },
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    'no-metadata': { type: 'boolean', default: false },
  },
});

function peerNames(): PeerName[] {
  if (values.quick || !values.peers) return [];
  if (values.spread !== '1')
    throw new Error(
      '--spread makes a disk that only the server knows: the peers, which read files, have no part in it.',
    );
  return values.peers.split(',').map((name) => {
    const peer = PEERS.find((one) => one === name);
    if (!peer) throw new Error(`--peers knows ${PEERS.join(', ')}; "${name}" is none of them.`);
    return peer;
  });
}

function images() {
  const { image, next, quick } = values;
  if (image && next) return openImages(image, next, `${next}.lists.json`);
  if (image || next)
    throw new Error('--image and --next come together: the first version of a disk and the second.');
  const sizeBytes = quick ? 96 * MiB : Math.round(Number(values.size) * GiB);
  const folder = values.folder ?? join(tmpdir(), `holdfast-bench-${sizeBytes / MiB}`);
  mkdirSync(folder, { recursive: true });
  const modules = new URL('../node_modules', import.meta.url).pathname;
  const sources = quick
    ? []
    : [
        { folder: '/usr/lib', share: 0.13 },
        { folder: '/usr/bin', share: 0.05 },
        { folder: modules, share: 0.1 },
        { folder: '/usr/share', share: 0.07 },
      ];
  return makeImages({ folder, sizeBytes, sources });
}

const scratch = mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'holdfast-bench-'));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const report = await runBench({
  images: spreadOver(images(), Number(values.spread)),
  scratch,
  peers: peerNames(),
  rounds: values.quick ? 1 : Number(values.runs),
  ...(values.block ? { blockBytes: Number(values.block) * 1024 } : {}),
});
const metadata = values.quick || values['no-metadata'] ? [] : await metadataCosts();
const whole = { ...report, metadata };
if (values.json) writeFileSync(values.json, `${JSON.stringify(whole, null, 2)}\n`);
printReport(whole);
process.exit(0);
