import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a reader must get of a golden repository: `expected.json` beside its containers. */
export interface Expected {
  readonly format: number;
  readonly mode: 'encrypted' | 'none';
  readonly password: string | null;
  /** Id of the repository. */
  readonly repository: string;
  readonly chains: readonly {
    readonly id: string;
    readonly machine: { readonly id: string; readonly armId: string; readonly name: string };
    readonly blockBytes: number;
    readonly voids: readonly { readonly sequence: number; readonly reason: string }[];
    readonly points: readonly {
      readonly sequence: number;
      /** As the point carries it. */
      readonly retention: unknown;
      readonly disks: readonly {
        readonly number: number;
        readonly uniqueId: string;
        readonly sizeBytes: number;
        /** Of all bytes of the disk, zeros included. */
        readonly sha256: string;
      }[];
    }[];
  }[];
}

const HERE = dirname(fileURLToPath(import.meta.url));

/** All golden repositories: one for each format version and mode. */
export const goldenRepositories = (): readonly { name: string; folder: string; expected: Expected }[] =>
  readdirSync(HERE, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const folder = join(HERE, name);
      const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
      return { name, folder, expected };
    });
