/** Which upgrade may start next: one row, one situation. */
import { describe, expect, it } from 'vitest';
import { drawn, groupLimits, limitsOf, lower, requirement, RISK, SLOTS, startable } from '../../workflows/limits.js';
import type { Limits } from '../../workflows/contracts/rollout.js';

/** `a:north g:pair` draws on account north and group pair, besides slots and risk. */
const one = (words: string) => ({
  words,
  draws: [SLOTS, RISK, ...words.split(' ').map((word) => word.replace('a:', 'account:').replace('g:', 'group:'))],
});

describe('startable', () => {
  const cases: readonly [what: string, queue: string[], inFlight: string[], limits: Limits, may: string[]][] = [
    ['nothing is limited', ['a:n', 'a:s'], [], {}, ['a:n', 'a:s']],
    ['slots are', ['a:1', 'a:2', 'a:3'], ['a:4'], { slots: 3 }, ['a:1', 'a:2']],
    ['slots are taken', ['a:1'], ['a:4'], { slots: 1 }, []],
    ['more is in flight than allowed now', ['a:1'], ['a:4', 'a:5'], { slots: 1 }, []],
    ['an account is full: the next in turn goes', ['a:n', 'a:n', 'a:s'], ['a:n'], { 'account:n': 1 }, ['a:s']],
    ['an account has room for one', ['a:n', 'a:n'], [], { 'account:n': 1 }, ['a:n']],
    ['a group has one in flight', ['a:n g:p', 'a:n g:q'], ['a:s g:p'], { 'group:p': 1, 'group:q': 1 }, ['a:n g:q']],
    ['two limits bind one', ['a:n g:p', 'a:n'], ['a:s g:p'], { 'group:p': 1, 'account:n': 1 }, ['a:n']],
    ['the budget allows one more to fail', ['a:1', 'a:2'], ['a:3'], { risk: 2 }, ['a:1']],
    ['a limit of 0', ['a:n'], [], { 'account:n': 0 }, []],
  ];
  it.each(cases)('%s', (_what, queue, inFlight, limits, may) => {
    const uses = drawn(Object.keys(limits), inFlight.map(one));
    expect(startable(queue.map(one), uses, limits).map(({ words }) => words)).toEqual(may);
  });
});

describe('requirement', () => {
  const awaited = {
    open: new Map([
      ['engines', 2],
      ['done', 0],
    ]),
    missed: new Set(['lost']),
  };
  it.each([
    [{}, 'met'],
    [{ after: ['done'] }, 'met'],
    [{ after: ['done', 'engines'] }, 'open'],
    [{ after: ['of an earlier wave'] }, 'met'],
    [{ after: ['engines', 'lost'] }, { missed: 'lost' }],
  ] as const)('%o: %o', (spec, expected) => {
    expect(requirement(spec, awaited)).toEqual(expected);
  });
});

it('the limits of a wave: the lowest of account and plan, and one more than may fail', () => {
  const wave = {
    concurrency: 5,
    failuresLeft: 2,
    accountLimits: { n: 3, s: 1 },
    limits: { 'account:n': 2, 'region:r': 4 },
  };
  expect(limitsOf({ ...wave, mode: 'strict' })).toEqual({
    slots: 5,
    risk: 3,
    'account:n': 2,
    'account:s': 1,
    'region:r': 4,
  });
  expect(limitsOf({ ...wave, mode: 'loose' })).not.toHaveProperty(RISK);
  expect(groupLimits([{ groups: { a: 1 } }, {}, { groups: { a: 1, b: 2 } }])).toEqual({ 'group:a': 1, 'group:b': 2 });
  expect(lower({ a: 1, b: 5 }, { b: 2, c: 3 })).toEqual({ a: 1, b: 2, c: 3 });
});
