import { expect, it } from 'vitest';
import { flatChain } from '../../bench/metadata.ts';

/** The same with 4 TiB and 1,000 points is what `npm run bench` prints. */
it('a restore point in the middle of a chain is opened, compared and removed in less than a second each and 256 MiB', async () => {
  const { point, pages, incrementalBytesPerBlock } = await flatChain({
    realBytes: 1024 ** 4 / 4,
    points: 40,
  });
  expect(pages).toBe(2048);
  expect(point.pagesThatDiffer).toBe(64);
  for (const ms of [point.openMs, point.compareMs, point.removeMs]) expect(ms).toBeLessThan(1000);
  expect(point.peakMiB).toBeGreaterThan(20);
  expect(point.peakMiB).toBeLessThan(256);
  expect(incrementalBytesPerBlock).toBeLessThan(100);
}, 60_000);
