import { runExamineLane } from './examineLane.ts';
import type { Feed, LanePlaces, LaneSetup } from './lanes.ts';
import { runMoveLane } from './moveLane.ts';
import { runRestoreLane } from './restoreLane.ts';

/** Runs one lane, in whatever thread this is. */
export function runLane(setup: LaneSetup, places: LanePlaces, feed: Feed): Promise<void> {
  if (setup.kind === 'move') return runMoveLane(setup, places, feed);
  return setup.kind === 'restore' ? runRestoreLane(setup, places, feed) : runExamineLane(places, feed);
}
