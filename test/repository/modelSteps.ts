import {
  backup,
  backupDies,
  backupPauses,
  begin,
  commitTwiceAtOnce,
  endSession,
  goOn,
  lateActivity,
  newEpoch,
  overtaken,
  sweep,
} from './modelBackups.ts';
import {
  collectFresh,
  collectLate,
  compactFresh,
  compactLate,
  maintenanceDies,
  maintenancePauses,
  planForLater,
} from './modelCollection.ts';
import { damage, repair, verify, verifyDies, verifyPart } from './modelDamage.ts';
import { days, grow, guest, hours, minutes } from './modelGuest.ts';
import { catalogAnew, takeOver } from './modelOwners.ts';
import { beginReading, endReading, remove, removeAgain, removeDies } from './modelReaders.ts';
import type { Step } from './modelStep.ts';

export interface Weighted {
  readonly weight: number;
  readonly run: Step;
  /** Also in the middle of another step. */
  readonly nested?: boolean;
}

export const STEPS: Readonly<Record<string, Weighted>> = {
  guest: { weight: 4, run: guest, nested: true },
  grow: { weight: 0.4, run: grow, nested: true },
  minutes: { weight: 3, run: minutes, nested: true },
  hours: { weight: 4, run: hours, nested: true },
  days: { weight: 2, run: days, nested: true },
  backup: { weight: 8, run: backup, nested: true },
  begin: { weight: 3, run: begin, nested: true },
  goOn: { weight: 4, run: goOn, nested: true },
  backupDies: { weight: 4, run: backupDies },
  backupPauses: { weight: 3, run: backupPauses },
  endSession: { weight: 1.5, run: endSession, nested: true },
  newEpoch: { weight: 1.5, run: newEpoch },
  overtaken: { weight: 2, run: overtaken },
  commitTwiceAtOnce: { weight: 3, run: commitTwiceAtOnce },
  sweep: { weight: 2, run: sweep, nested: true },
  lateActivity: { weight: 4, run: lateActivity, nested: true },
  remove: { weight: 6, run: remove, nested: true },
  removeDies: { weight: 1, run: removeDies },
  removeAgain: { weight: 1, run: removeAgain, nested: true },
  beginReading: { weight: 2, run: beginReading, nested: true },
  endReading: { weight: 1.5, run: endReading, nested: true },
  collect: { weight: 5, run: collectFresh, nested: true },
  compact: { weight: 4, run: compactFresh, nested: true },
  maintenanceDies: { weight: 3, run: maintenanceDies },
  maintenancePauses: { weight: 4, run: maintenancePauses },
  planForLater: { weight: 2.5, run: planForLater },
  collectLate: { weight: 2, run: collectLate, nested: true },
  compactLate: { weight: 2, run: compactLate, nested: true },
  damage: { weight: 3, run: damage },
  verify: { weight: 2, run: verify },
  verifyDies: { weight: 1, run: verifyDies },
  verifyPart: { weight: 1, run: verifyPart },
  repair: { weight: 1.5, run: repair },
  takeOver: { weight: 0.7, run: takeOver, nested: true },
  catalogAnew: { weight: 1, run: catalogAnew },
};
