/**
 * Turns at what there are few of: connections, places of reads that repeat. Callers stand in lanes, one or more for each tenant.
 *
 * T1  At most `placesMax` have a turn at once, and at most its own `atOnceMax` of one lane: what a lane may not take stays free for others.
 * T2  Lanes take turns, and within one who came first: however many wait in a lane, another waits for at most one turn of each.
 * T3  Where a place is free the turn begins at once, in the same call: an idle one costs nothing.
 * T4  A lane in which `waitingMax` wait takes no more.
 */
export interface Turns {
  /** Calls `begin` when its turn comes, at once or later; `end` it once. Answers how to leave the line before. Throws LaneFull. */
  enter(lane: Lane, begin: () => void): Leave;
  /** A turn of this lane has ended. */
  end(lane: Lane): void;
}

export interface Lane {
  /** Those of one name are one lane, and have the same limits. */
  readonly name: string;
  readonly atOnceMax: number;
  readonly waitingMax: number;
}

/** False: the turn has begun already. */
export type Leave = () => boolean;

/** Too many of one tenant wait already. Nothing was done: the same may be asked again later. */
export class LaneFull extends Error {
  override readonly name = 'LaneFull';
  readonly waitingMax: number;
  constructor({ name, waitingMax }: Lane) {
    super(`${waitingMax} calls wait in the lane "${name}"`);
    this.waitingMax = waitingMax;
  }
}

interface State extends Lane {
  taken: number;
  readonly waiting: (() => void)[];
}

/** Makes lanes as they are needed. */
export function createTurns(placesMax: number): Turns {
  const lanes = new Map<string, State>();
  /** Lanes in which somebody waits and may begin, in the order of their turns. */
  const ready = new Set<State>();
  let taken = 0;

  const laneOf = (lane: Lane): State => {
    const known = lanes.get(lane.name);
    if (known !== undefined) return known;
    const { name, atOnceMax, waitingMax } = lane;
    const made: State = { name, atOnceMax, waitingMax, taken: 0, waiting: [] };
    lanes.set(name, made);
    return made;
  };
  const dropIdle = (state: State): void => {
    if (state.taken === 0 && state.waiting.length === 0) lanes.delete(state.name);
  };
  const take = (state: State, begin: () => void): void => {
    taken += 1;
    state.taken += 1;
    begin();
  };
  const advance = (): void => {
    for (const state of ready) {
      if (taken >= placesMax) return;
      ready.delete(state);
      const begin = state.waiting.shift();
      // To the end of the line, unless nobody waits or the lane has all that it may take.
      if (state.waiting.length > 0 && state.taken + 1 < state.atOnceMax) ready.add(state);
      if (begin !== undefined) take(state, begin);
    }
  };
  const leave = (state: State, begin: () => void): boolean => {
    const place = state.waiting.indexOf(begin);
    if (place === -1) return false;
    state.waiting.splice(place, 1);
    if (state.waiting.length === 0) ready.delete(state);
    dropIdle(state);
    return true;
  };
  return {
    enter(lane, begin) {
      const state = laneOf(lane);
      if (taken < placesMax && state.taken < state.atOnceMax) {
        take(state, begin);
        return begun;
      }
      if (state.waiting.length >= state.waitingMax) throw new LaneFull(lane);
      state.waiting.push(begin);
      if (state.taken < state.atOnceMax) ready.add(state);
      return () => leave(state, begin);
    },
    end({ name }) {
      const state = lanes.get(name);
      if (state === undefined) return;
      taken -= 1;
      state.taken -= 1;
      if (state.waiting.length > 0) ready.add(state);
      else dropIdle(state);
      advance();
    },
  };
}

const begun: Leave = () => false;
