import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type DiskSnapshots, SnapshotDisk, type SnapshotInfo } from '../../lib/azure/index.ts';
import { MiB } from '../../lib/model/index.ts';

/** What a `DiskSnapshots` is tried on: a subscription with machines, whose disks a test may write to. */
export interface SnapshotWorld {
  readonly snapshots: DiskSnapshots;
  readonly place: {
    readonly subscriptionId: string;
    readonly resourceGroup: string;
    readonly location: string;
  };
  /** A disk of a machine of its own, empty. */
  disk(): Promise<{ readonly id: string; readonly sizeBytes: number }>;
  write(diskId: string, offset: number, bytes: Buffer): Promise<void>;
  clear(diskId: string, offset: number, length: number): Promise<void>;
  /** Whether the disk is still there. */
  exists(diskId: string): Promise<boolean>;
  /** Takes a snapshot as somebody else would: without Holdfast's marks. */
  foreignSnapshot(diskId: string): Promise<() => Promise<boolean>>;
}

const TAG = { name: 'holdfast-owner', value: 'conformance' };
const TAGS = {
  'holdfast-owner': 'conformance',
  'holdfast-session': 's1',
  'holdfast-flags': 'DW',
  'cost centre': 'A & B = 100 %',
  Straße: 'Grün',
};

/** What every `DiskSnapshots` must do. */
export function describeDiskSnapshots(label: string, world: () => SnapshotWorld): void {
  describe(`disk snapshots: ${label}`, () => {
    let count = 0;
    /** Takes one, and waits until it can be read. */
    async function take(sourceDiskId: string, name = `holdfast-${label}-${++count}`): Promise<SnapshotInfo> {
      const { snapshots, place } = world();
      const request = { ...place, name, sourceDiskId, tags: TAGS };
      await snapshots.startCreate(request);
      return until(() => snapshots.find(snapshots.idOf(request)));
    }
    const gone = (id: string) =>
      until(async () => ((await world().snapshots.find(id)) === null ? true : null));
    const all = async (diskId: string) => {
      const { snapshots, place } = world();
      const found: SnapshotInfo[] = [];
      for await (const info of snapshots.list({ ...place, tag: TAG }))
        if (info.sourceDiskId?.toLowerCase() === diskId.toLowerCase()) found.push(info);
      return found;
    };

    test('is found under the id that was known before it was made, with its tags, its size and its source', async () => {
      const { snapshots, place, disk } = world();
      const { id: diskId, sizeBytes } = await disk();
      const request = { ...place, name: `holdfast-${label}-known`, sourceDiskId: diskId };
      const id = snapshots.idOf(request);
      expect(await snapshots.find(id)).toBeNull();
      const info = await take(diskId, request.name);
      expect(info).toMatchObject({
        id,
        name: request.name,
        incremental: true,
        downloadable: true,
        sizeBytes,
        tags: TAGS,
      });
      expect(info.sourceDiskId?.toLowerCase()).toBe(diskId.toLowerCase());
      expect(Date.parse(info.timeCreated ?? '')).toBeGreaterThan(0);
      // A second run asks first, and finds the first one's.
      expect(await snapshots.find(snapshots.idOf(request))).toEqual(info);
    });

    test('snapshots of one disk are of one source and one family, and those of another are not', async () => {
      const { id } = await world().disk();
      const [a, b, other] = [await take(id), await take(id), await take((await world().disk()).id)];
      expect([b.sourceUniqueId, b.familyId]).toEqual([a.sourceUniqueId, a.familyId]);
      expect(other.sourceUniqueId).not.toBe(a.sourceUniqueId);
      expect(other.familyId).not.toBe(a.familyId);
      expect(Date.parse(b.timeCreated ?? '')).toBeGreaterThanOrEqual(Date.parse(a.timeCreated ?? ''));
    });

    test('read what the disk held when they were taken, and list what changed since the one before', async () => {
      const { snapshots, disk, write, clear } = world();
      const { id, sizeBytes } = await disk();
      const old = randomBytes(2 * MiB);
      await write(id, MiB, old);
      const before = await take(id);
      const fresh = randomBytes(8192);
      await write(id, 16 * MiB, fresh);
      await clear(id, 2 * MiB, MiB);
      const after = await take(id);
      await write(id, MiB, randomBytes(4096));

      const baseUrl = await snapshots.grantRead(before.id, 3600);
      const sourceUrl = await snapshots.grantRead(after.id, 3600);
      const source = new SnapshotDisk({ sourceUrl, baseUrl, sizeBytes });
      const base = new SnapshotDisk({ sourceUrl: baseUrl, sizeBytes });
      expect((await base.read(MiB, 2 * MiB)).equals(old)).toBe(true);
      expect((await source.read(16 * MiB, 8192)).equals(fresh)).toBe(true);
      expect((await source.read(MiB, MiB)).equals(old.subarray(0, MiB))).toBe(true);
      const whole = { offset: 0, length: sizeBytes };
      expect(await source.changed(whole)).toEqual({
        changed: [{ offset: 16 * MiB, length: 8192 }],
        cleared: [{ offset: 2 * MiB, length: MiB }],
      });
      expect(await source.allocated(whole)).toEqual([
        { offset: MiB, length: MiB },
        { offset: 16 * MiB, length: 8192 },
      ]);
      // The last sector is the disk's, and nothing lies beyond it.
      expect(await source.read(sizeBytes - 512, 512)).toHaveLength(512);
      for (const snapshot of [before, after]) await snapshots.endRead(snapshot.id);
      await snapshots.endRead(after.id);
    });

    test("are listed by tag, and nobody else's is", async () => {
      const { disk, foreignSnapshot } = world();
      const { id } = await disk();
      await foreignSnapshot(id);
      const [a, b] = [await take(id), await take(id)];
      expect((await all(id)).map((one) => one.id).sort()).toEqual([a.id, b.id].sort());
    });

    test("go one by one, twice without harm, and neither the disk nor anybody else's snapshot with them", async () => {
      const { snapshots, disk, exists, foreignSnapshot } = world();
      const { id } = await disk();
      const foreign = await foreignSnapshot(id);
      const [a, b] = [await take(id), await take(id)];
      await snapshots.startRemove(a.id);
      await gone(a.id);
      await snapshots.startRemove(a.id);
      expect((await all(id)).map((one) => one.id)).toEqual([b.id]);
      await snapshots.startRemove(b.id);
      await gone(b.id);
      expect([await exists(id), await foreign()]).toEqual([true, true]);
    });

    test('cannot be read when there is none', async () => {
      const { snapshots, place, disk } = world();
      const id = snapshots.idOf({ ...place, name: 'holdfast-none', sourceDiskId: (await disk()).id });
      await expect(snapshots.grantRead(id, 600)).rejects.toMatchObject({ code: 'notFound' });
      await snapshots.endRead(id);
    });

    test('that could not carry their tags are refused before anything is made', async () => {
      const { snapshots, place, disk } = world();
      const { id: sourceDiskId } = await disk();
      const tags = Object.fromEntries(
        Array.from({ length: 60 }, (_, i) => [`holdfast-m${i}`, 'x'.repeat(250)]),
      );
      expect(() => snapshots.checkTags(sourceDiskId, tags, 'snap')).toThrow(
        expect.objectContaining({ code: 'tagLimit' }) as Error,
      );
      snapshots.checkTags(sourceDiskId, TAGS, 'snap');
      const request = { ...place, name: 'holdfast-toomany', sourceDiskId, tags };
      await expect(snapshots.startCreate(request)).rejects.toMatchObject({ code: 'tagLimit' });
      expect(await all(sourceDiskId)).toEqual([]);
    });
  });
}

/** Asks until there is an answer. */
async function until<T>(ask: () => Promise<T | null>): Promise<T> {
  for (;;) {
    const found = await ask();
    if (found !== null && !(isInfo(found) && !found.downloadable)) return found;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

const isInfo = (value: unknown): value is SnapshotInfo =>
  typeof value === 'object' && value !== null && 'downloadable' in value;
