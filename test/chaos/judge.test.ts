/** Every breach that a chaos run looks for is found when it is there: one true report, and what is wrong about others. */
import { describe, expect, it } from 'vitest';
import { objectionTo, offencesIn, type Reality } from '../../chaos/judge.js';
import { emptyTruth } from '../../simulator/truth.js';
import type { Outcome } from '../../workflows/contracts/upgrade.js';

const upgraded: Reality = { isAtTarget: true, stage: 'succeeded', accepted: 1, elsewhere: 0, failsPrecheck: false };
const untouched: Reality = { isAtTarget: false, stage: null, accepted: 0, elsewhere: 0, failsPrecheck: false };
const broken: Reality = { ...upgraded, stage: 'broken' };
const rolledBack: Reality = { ...upgraded, isAtTarget: false, stage: 'rolled-back' };
const inNameOnly: Reality = { ...rolledBack, stage: 'succeeded-in-name-only' };
const running: Reality = { ...rolledBack, stage: 'running' };
const byOthers: Reality = { ...upgraded, accepted: 0, elsewhere: 1 };
const elsewhere: Reality = { ...byOthers, isAtTarget: false };

const objection = (is: Reality, outcome: Outcome | null, runs = 1) =>
  objectionTo(is, { outcome, reason: 'because', runs });

describe('a report that is true', () => {
  it.each<[Outcome, Reality]>([
    ['Succeeded', upgraded],
    // After a lost answer nobody can tell whose upgrade it is.
    ['Succeeded', byOthers],
    ['Adopted', byOthers],
    ['AlreadyAtTarget', byOthers],
    ['Failed', broken],
    ['Failed', rolledBack],
    ['Failed', elsewhere],
    ['RolledBack', rolledBack],
    ['RolledBack', inNameOnly],
    ['Refused', { ...untouched, failsPrecheck: true }],
    ['Refused', elsewhere],
  ])('%s: %o', (outcome, is) => {
    expect(objection(is, outcome)).toBeNull();
  });
});

describe('a report that is better or worse than it is', () => {
  it.each<[Outcome | null, Reality]>([
    [null, upgraded],
    ['Succeeded', broken],
    ['Succeeded', rolledBack],
    ['Succeeded', inNameOnly],
    ['Succeeded', untouched],
    ['Adopted', upgraded],
    ['Adopted', elsewhere],
    ['AlreadyAtTarget', upgraded],
    ['AlreadyAtTarget', untouched],
    ['Failed', upgraded],
    ['Failed', untouched],
    ['RolledBack', upgraded],
    ['RolledBack', broken],
    ['RolledBack', elsewhere],
    ['Refused', upgraded],
    ['Refused', rolledBack],
    ['Refused', untouched],
    ['Held', upgraded],
    ['Held', rolledBack],
    ['Skipped', untouched],
    ['NotStarted', untouched],
  ])('%s: %o', (outcome, is) => {
    expect(objection(is, outcome)).toEqual(expect.any(String));
  });

  it.each<Outcome>(['Succeeded', 'Failed', 'RolledBack', 'Held'])('%s while it runs', (outcome) => {
    expect(objection(running, outcome)).toContain('while its upgrade runs');
  });

  it('comes from two workflows', () => {
    expect(objection(upgraded, 'Succeeded', 2)).toContain('2 workflows');
  });
});

describe('the record of the clouds', () => {
  const allowed = { calls: 25, submits: 5 };
  const counts = { accepted: 1, refused: 0, reads: 9, polls: 9, dryRuns: 0, replays: 0 };
  const violation = { at: 0, kind: 'submit-while-running', account: 'a', detail: 'one' } as const;

  it('holds nothing against a run that kept to its promises', () => {
    const truth = {
      ...emptyTruth(),
      perResource: { one: counts },
      callsPerSecondPeak: { a: 25 },
      submitsPerSecondPeak: { a: 5 },
    };
    const nothing = { duplicates: [], protocol: [], rates: [] };
    expect(offencesIn(truth, new Map([['one', upgraded]]), allowed)).toEqual(nothing);
    const lostRace = { ...truth, violations: [violation] };
    expect(offencesIn(lostRace, new Map([['one', byOthers]]), allowed)).toEqual(nothing);
  });

  it('tells of a second submit, a submit into a running upgrade, an unknown path and a rate', () => {
    const truth = {
      ...emptyTruth(),
      perResource: { one: { ...counts, accepted: 2 } },
      violations: [violation],
      unknownPaths: { 'GET /v9': 1 },
      callsPerSecondPeak: { a: 26 },
      submitsPerSecondPeak: { a: 6 },
    };
    expect(offencesIn(truth, new Map([['one', { ...upgraded, accepted: 2 }]]), allowed)).toEqual({
      duplicates: ['one took in 2 submits'],
      protocol: ['violation of protocol: submit-while-running one', 'unknown path: GET /v9'],
      rates: ['a: 26 calls within a second, 25 allowed', 'a: 6 submits within a second, 5 allowed'],
    });
  });
});
