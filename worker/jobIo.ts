import { SnapshotDisk, UploadDisk } from '../lib/azure/diskAccess.ts';
import { SasBlobStore } from '../lib/azure/sasBlobs.ts';
import type { JobIo } from '../lib/datapath/jobIo.ts';
import { HoldfastError, type JobSecrets, type JobSpec } from '../lib/model/index.ts';
import { type Access, renewedSink, renewedSource, renewedStore } from './access.ts';

type Places = Pick<JobIo, 'chainKey' | 'data' | 'staging' | 'source' | 'lists' | 'sink'>;

/** Opens what a job reads and writes by the URLs of its secrets, which are renewed on the way. No call is made yet. */
export function openPlaces(spec: JobSpec, access: Access): Places {
  const base = {
    chainKey: Buffer.from(access.secrets.chainKey, 'base64'),
    data: renewedStore(access, ({ dataUrl }) => new SasBlobStore(dataUrl)),
    staging: renewedStore(access, ({ stagingUrl }) => new SasBlobStore(stagingUrl)),
  };
  const { sizeBytes } = spec;
  if (spec.kind === 'restore') {
    const sink = renewedSink(
      access,
      (secrets) => new UploadDisk({ sizeBytes, targetUrl: given(secrets, 'targetUrl') }),
    );
    return { ...base, sink };
  }
  const source = renewedSource(
    access,
    (secrets) =>
      new SnapshotDisk({ sizeBytes, sourceUrl: given(secrets, 'sourceUrl'), baseUrl: secrets.baseUrl }),
  );
  return { ...base, source, lists: source };
}

function given(secrets: JobSecrets, name: 'sourceUrl' | 'targetUrl'): string {
  const url = secrets[name];
  if (url !== null) return url;
  throw new HoldfastError('internal', `The job came without its ${name}.`, { target: name });
}
