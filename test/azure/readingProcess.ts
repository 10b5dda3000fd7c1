/** A process that has URLs and nothing else, as a worker: reads the first MiB behind the SAS on its standard input, prints its digest. */
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { closeDiskConnections, SnapshotDisk } from '../../lib/azure/diskAccess.ts';
import { MiB } from '../../lib/model/index.ts';

const { sourceUrl, sizeBytes } = JSON.parse(await text(process.stdin)) as {
  sourceUrl: string;
  sizeBytes: number;
};
const disk = new SnapshotDisk({ sourceUrl, sizeBytes });
const ranges = await disk.allocated({ offset: 0, length: sizeBytes });
const digest = createHash('sha256')
  .update(await disk.read(0, MiB))
  .digest('hex');
console.log(JSON.stringify({ digest, ranges }));
await closeDiskConnections();
