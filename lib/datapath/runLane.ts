import type { Feed, LanePlaces, LaneSetup } from './lanes.ts';
import { runMoveLane } from './moveLane.ts';
import { runRestoreLane } from './restoreLane.ts';

/** Runs one lane, in whatever thread this is. */
export function runLane(setup: LaneSetup, places: LanePlaces, feed: Feed): Promise<void> {
  return setup.kind === 'move' ? runMoveLane(setup, places, feed) : runRestoreLane(setup, places, feed);
}
