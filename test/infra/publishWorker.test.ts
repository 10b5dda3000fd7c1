import { describe, expect, it } from 'vitest';
import { type PackageContainer, publish, workerNode } from '../../infra/publishWorker.ts';

const made = { digest: 'ab12', name: 'worker-ab12.tgz', path: '/dist/worker-ab12.tgz', bytes: 1 };

describe('publishing the worker package', () => {
  it('uploads it under its own name, each time: the newest upload is what workers are given', async () => {
    const uploads: string[] = [];
    const container: PackageContainer = {
      getBlockBlobClient: (name) => ({
        uploadFile: (path, options) => {
          uploads.push(`${name} from ${path} ${JSON.stringify(options)}`);
          return Promise.resolve();
        },
      }),
    };
    await publish(container, made);
    await publish(container, made);
    const upload =
      'worker-ab12.tgz from /dist/worker-ab12.tgz {"blobHTTPHeaders":{"blobContentType":"application/gzip"}}';
    expect(uploads).toEqual([upload, upload]);
  });
});

describe('the Node that goes to workers', () => {
  it('is the one that runs on Linux x64, or the one that is named', () => {
    const linux = { platform: 'linux', arch: 'x64', execPath: '/node' };
    expect(workerNode({}, linux)).toBe('/node');
    expect(workerNode({ HOLDFAST_WORKER_NODE: '/other' }, linux)).toBe('/other');
  });

  it('elsewhere it must be named, and the message says how', () => {
    expect(() => workerNode({}, { platform: 'darwin', arch: 'arm64', execPath: '/node' })).toThrow(
      /this Node is for darwin on arm64.*set HOLDFAST_WORKER_NODE/,
    );
  });
});
