import type { Installation } from '../../installation/index.ts';
import { copiedSessions } from '../backup/copy.ts';
import { discover } from '../machines/discovery.ts';
import type { SnapshotWorld } from './judge.ts';
import { listSets, type SnapshotSet } from './sets.ts';

/** What was found of our own snapshots, and of the world that they belong to. */
export interface Survey {
  readonly sets: readonly SnapshotSet[];
  readonly world: SnapshotWorld;
  /** Names of the machines that exist, by their id. */
  readonly names: ReadonlyMap<string, string>;
  /** Places that could not be looked at, for people. */
  readonly troubles: readonly string[];
}

/** Looks at all sets of snapshots, and at what decides whether they stay. */
export async function surveySnapshots(installation: Installation, orphanDays: number): Promise<Survey> {
  const { catalog, clock, settings } = installation;
  const policies = (await catalog.policies.list()).map(({ value }) => value);
  const { machines, troubles } = await discover(
    installation,
    policies.map(({ scope }) => scope),
  );
  const subscriptions = new Map(
    [...settings.HOLDFAST_SUBSCRIPTION_IDS, ...machines.map(({ machine }) => machine.subscriptionId)].map(
      (id) => [id.toLowerCase(), id],
    ),
  );
  const sets = await listSets(installation, { subscriptionIds: [...subscriptions.values()] });
  const names = new Map(machines.map(({ machine }) => [machine.id, machine.name]));
  const unseen = new Set(troubles.map(({ id }) => id.toLowerCase()));
  // What could not be looked at is no reason to call a machine gone.
  const unknown = sets
    .filter(({ subscriptionId }) => unseen.has(subscriptionId.toLowerCase()))
    .map(({ machineId }) => machineId);
  const running = (await catalog.sessions.running()).map(({ id }) => id);
  const chains = (await catalog.chains.list()).filter(({ head }) => head !== null);
  return {
    sets,
    names,
    troubles: troubles.map(({ message }) => message),
    world: {
      now: clock.now(),
      busySessions: new Set([
        ...running,
        ...(await catalog.intents.sessions()),
        ...(await copiedSessions(installation)),
      ]),
      bases: await catalog.chains.protectedSnapshots(),
      chains: new Set(chains.map(({ repositoryId, machineId }) => `${repositoryId}/${machineId}`)),
      machines: new Set([...names.keys(), ...unknown]),
      policies: new Set(policies.map(({ id }) => id)),
      orphanDays,
    },
  };
}
