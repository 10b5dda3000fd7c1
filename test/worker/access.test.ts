import { describe, expect, it } from 'vitest';
import { HoldfastError, type JobSecrets } from '../../lib/model/index.ts';
import { Access, renewedSource } from '../../worker/access.ts';

const secrets = (n: number): JobSecrets => ({
  chainKey: '',
  dataUrl: `data${n}`,
  stagingUrl: `staging${n}`,
  sourceUrl: `source${n}`,
  baseUrl: null,
  targetUrl: null,
  expiresAt: '2026-11-21T10:00:00Z',
});

/** A disk whose URLs `source0` to `source<good - 1>` are refused. */
function disk(good: number) {
  let renewals = 0;
  const access = new Access(secrets(0), async () => {
    await Promise.resolve();
    return secrets(++renewals);
  });
  const source = renewedSource(access, ({ sourceUrl }) => ({
    sizeBytes: 512,
    read: (offset) =>
      Number(sourceUrl?.slice('source'.length)) < good
        ? Promise.reject(new HoldfastError('accessExpired', 'refused'))
        : Promise.resolve(Buffer.from(`${sourceUrl}@${offset}`)),
    allocated: () => Promise.reject(new HoldfastError('diffFailed', 'no')),
    changed: () => Promise.resolve({ changed: [], cleared: [] }),
  }));
  return { access, source, count: () => renewals };
}

describe('access', () => {
  it('many reads that are refused at once ask for fresh access once', async () => {
    const { source, count } = disk(1);
    const read = await Promise.all([0, 1, 2, 3].map((at) => source.read(at, 512)));
    expect(read.map(String)).toEqual(['source1@0', 'source1@1', 'source1@2', 'source1@3']);
    expect(count()).toBe(1);
  });

  it('access that came unasked is used at once', async () => {
    const { access, source, count } = disk(5);
    access.update(secrets(7));
    expect(String(await source.read(0, 512))).toBe('source7@0');
    expect(count()).toBe(0);
  });

  it('access that stays refused is given up', async () => {
    const { source, count } = disk(100);
    await expect(source.read(0, 512)).rejects.toMatchObject({ code: 'accessExpired' });
    expect(count()).toBe(3);
  });

  it('other failures are the caller’s', async () => {
    const { source, count } = disk(0);
    await expect(source.allocated({ offset: 0, length: 512 })).rejects.toMatchObject({ code: 'diffFailed' });
    expect(count()).toBe(0);
  });
});
