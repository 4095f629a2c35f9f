import { describe, expect, it } from 'vitest';
import { allowedInFlight, rolloutOutcome, upgradeOutcome } from '../../workflows/contracts/outcome.js';
import type { AwaitResult, VerifyResult } from '../../workflows/contracts/steps.js';
import type { Outcome } from '../../workflows/contracts/upgrade.js';

describe('upgradeOutcome', () => {
  const cases: readonly [VerifyResult['verdict'], AwaitResult['providerSays'], boolean, Outcome][] = [
    ['at-target', 'succeeded', false, 'Succeeded'],
    ['at-target', 'succeeded', true, 'Adopted'],
    // The resource decides: a job that failed or is gone over the right version is a success.
    ['at-target', 'failed', false, 'Succeeded'],
    ['at-target', 'vanished', false, 'Succeeded'],
    // GES ends on status 200 with the old version after it rolled back by itself.
    ['not-at-target', 'succeeded', false, 'RolledBack'],
    ['not-at-target', 'rolled-back', false, 'RolledBack'],
    ['not-at-target', 'failed', false, 'Failed'],
    ['not-at-target', 'vanished', false, 'Failed'],
    // What somebody else began may have gone elsewhere.
    ['not-at-target', 'succeeded', true, 'Failed'],
    ['unhealthy', 'succeeded', false, 'Failed'],
    ['unreadable', 'succeeded', false, 'Held'],
    ['still-running', 'running', false, 'Held'],
  ];
  it.each(cases)('verify %s, provider %s, adopted %s: %s', (verdict, providerSays, adopted, expected) => {
    expect(upgradeOutcome({ verdict, version: '1' }, { providerSays }, adopted, '1')).toBe(expected);
  });

  it.each([
    ['1', 'RolledBack'],
    ['1.5', 'Failed'],
    [null, 'Failed'],
  ] as const)('a job that succeeded over version %s, from 1: %s', (version, expected) => {
    expect(upgradeOutcome({ verdict: 'not-at-target', version }, { providerSays: 'succeeded' }, false, '1')).toBe(
      expected,
    );
  });
});

describe('rolloutOutcome', () => {
  const budget = { max: 2, mode: 'strict' } as const;
  const at = (counts: Partial<Record<Outcome, number>>, failures: number, stopped = false) =>
    rolloutOutcome({ total: 10, counts, failures, budget, stopped }).outcome;

  it('succeeds only when every resource is at its target', () => {
    expect(at({ Succeeded: 8, AlreadyAtTarget: 1, Adopted: 1 }, 0)).toBe('Succeeded');
    expect(at({ Succeeded: 9, Skipped: 1 }, 0)).toBe('SucceededWithFailures');
  });
  it('tolerates as many failures as the budget says and not one more', () => {
    expect(at({ Succeeded: 8, Failed: 2 }, 2)).toBe('SucceededWithFailures');
    expect(at({ Succeeded: 7, Failed: 3 }, 3)).toBe('Failed');
  });
  it('reports nothing as completed at 0 %', () => {
    expect(at({ Failed: 2, Skipped: 8 }, 2)).toBe('Failed');
    expect(rolloutOutcome({ total: 0, counts: {}, failures: 0, budget, stopped: false })).toEqual({
      outcome: 'Failed',
      reason: '0 of 0 at target, 0 failed',
    });
  });
  it('has failed with fewer than have to succeed, unless it was stopped', () => {
    const least = (good: number, stopped = false) =>
      rolloutOutcome({ total: 10, counts: { Succeeded: good }, failures: 0, budget, stopped, minSuccess: 8 });
    expect(least(7)).toEqual({
      outcome: 'Failed',
      reason: 'fewer than the 8 that had to succeed: 7 of 10 at target, 0 failed',
    });
    expect(least(8).outcome).toBe('SucceededWithFailures');
    expect(least(7, true).outcome).toBe('Stopped');
  });
  it('has not succeeded before it has soaked', () => {
    const end = { total: 1, counts: { Succeeded: 1 }, failures: 0, budget, stopped: true, unsoaked: ['rest'] };
    expect(rolloutOutcome(end)).toEqual({
      outcome: 'Stopped',
      reason: 'stopped: 1 of 1 at target, 0 failed, and wave rest has not soaked',
    });
  });
  it('says how many failed, and how many were charged where that is another number', () => {
    const reason = (counts: Partial<Record<Outcome, number>>, failures: number) =>
      rolloutOutcome({ total: 4, counts, failures, budget, stopped: false }).reason;
    expect(reason({ Succeeded: 3, Failed: 1 }, 1)).toBe('3 of 4 at target, 1 failed');
    expect(reason({ Succeeded: 1, Refused: 3 }, 0)).toBe('1 of 4 at target, 3 failed, 0 charged to the budget');
    expect(reason({ Succeeded: 1, Skipped: 3 }, 0)).toBe('1 of 4 at target, 0 failed, 3 skipped');
    expect(reason({ Refused: 4 }, 0)).toBe('0 of 4 at target, 4 failed, 0 charged to the budget');
    // Overdue, and well in the end.
    expect(reason({ Succeeded: 4 }, 1)).toBe('4 of 4 at target, 0 failed, 1 charged to the budget');
    expect(reason({ Succeeded: 1, Refused: 1, Failed: 2 }, 3)).toBe(
      'failure budget of 2 exceeded: 1 of 4 at target, 3 failed',
    );
  });
  it('says that it was stopped, unless the budget was spent as well', () => {
    expect(at({ Succeeded: 3, NotStarted: 7 }, 0, true)).toBe('Stopped');
    expect(at({ Succeeded: 3, Failed: 3, NotStarted: 4 }, 3, true)).toBe('Failed');
  });
});

describe('allowedInFlight', () => {
  it('lets a strict budget never be exceeded by more than one', () => {
    expect(allowedInFlight(10, 0, 0, 'strict')).toBe(1);
    expect(allowedInFlight(10, 3, 0, 'strict')).toBe(4);
    expect(allowedInFlight(10, 3, 2, 'strict')).toBe(2);
    expect(allowedInFlight(2, 3, 0, 'strict')).toBe(2);
    expect(allowedInFlight(10, 3, 4, 'strict')).toBe(0);
  });
  it('leaves a loose budget its concurrency until it is spent', () => {
    expect(allowedInFlight(10, 0, 0, 'loose')).toBe(10);
    expect(allowedInFlight(10, 0, 1, 'loose')).toBe(0);
  });
});
