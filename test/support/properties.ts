import type fc from 'fast-check';

/** The same runs each time; others by `PROPERTY_SEED=7`, and for a property of few runs more by `PROPERTY_RUNS=5000`. */
export function seeded(runs: number): fc.Parameters<unknown> {
  return {
    seed: Number(process.env['PROPERTY_SEED'] ?? 20261121),
    numRuns: Math.max(runs, Number(process.env['PROPERTY_RUNS'] ?? 0)),
  };
}
