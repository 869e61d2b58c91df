import { deleteBrake } from './brake.ts';
import { contradiction } from './contradiction.ts';
import { crashEverywhere } from './crash-everywhere.ts';
import { flakyReads, laggyProvider, missedEvents, missedOne, staleReads } from './histories.ts';
import { crowd } from './crowd.ts';
import { liveness } from './liveness.ts';
import { lostWakes } from './lost-wakes.ts';
import { meanwhile } from './meanwhile.ts';
import { once } from './once.ts';
import { cannotKnow, falseEmpty, outage } from './outages.ts';
import { driftMatrix, foreignObject } from './ownership.ts';
import { storm } from './storm.ts';
import type { Suite } from './suite.ts';
import { undelete } from './undelete.ts';
import { unknownOutcome } from './unknown-outcome.ts';
import { zombieWorker } from './zombie-worker.ts';

/** Every suite, by name in `npm run sim`. */
export const suites: readonly Suite[] = [
  crashEverywhere,
  unknownOutcome,
  zombieWorker,
  staleReads,
  laggyProvider,
  flakyReads,
  missedEvents,
  missedOne,
  driftMatrix,
  foreignObject,
  undelete,
  meanwhile,
  once,
  outage,
  falseEmpty,
  deleteBrake,
  cannotKnow,
  contradiction,
  liveness,
  lostWakes,
  crowd,
  storm,
];
