/** Which machines and disks a policy means, and whose a machine is. See README.md beside this file. */
export { type Assignment, assignMachines } from './assign.ts';
export { describeScope } from './describe.ts';
export { type LeftOutDisk, leaveOutDisks } from './disks.ts';
export { emptyNames, judgeMachine, type Verdict } from './judge.ts';
export { type Places, placesIn, placesOf } from './places.ts';
