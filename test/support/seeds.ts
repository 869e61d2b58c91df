import fc from 'fast-check';

/**
 * Properties run on the same cases each time, so that a red run is red again; `FC_SEED=random` looks for new ones (a failure prints its
 * seed and the shrunk case), `FC_SEED=<number>` replays.
 */
const wish = process.env['FC_SEED'] ?? '20261120';
if (wish !== 'random') fc.configureGlobal({ seed: Number(wish) });
