/** What a plan's calendar says of freezes and bounds, besides its windows and blackouts. */
import { expect, it } from 'vitest';
import { calendarViews } from '../../client/calendars.js';
import { planOf } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import type { Cover, Freeze } from '../../workflows/contracts/freezes.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

/** A Saturday's window: 22:00 to 02:00 UTC. */
const OPENS = Date.parse('2026-11-28T22:00:00Z');
const HOUR = 3_600_000;
const WEEK = 7 * 24 * HOUR;
const WINDOWS = 'windows: [{ name: saturday, days: [sat], start: "22:00", duration: 4h, timezone: UTC }]';
const iso = (at: number) => new Date(at).toISOString();
/** As a plan takes it. */
const written = (at: number) => iso(at).replace('.000Z', 'Z');

function planned(spec: string) {
  const text = `apiVersion: uplift/v1
kind: Rollout
metadata: { name: spring }
spec:
  targets:
    - { service: kite-v1, account: north, ids: [kite-1, kite-2], version: "2.0" }
  startOnlyIfFits: false
${spec.replace(/^/gm, '  ')}
`;
  const context = { apis: FAKE_APIS, accounts: ACCOUNTS, now: OPENS - 2 * HOUR, mayBeOver: true };
  return planOf(parseSource(text, 'plan.yaml'), context);
}

const frozen = (id: string, cover: Cover, until: number): Freeze => ({
  id,
  scope: [cover],
  except: [],
  until: iso(until),
  reason: 'audit',
  owner: 'ana',
  since: iso(OPENS - HOUR),
});

it('is shut while a freeze holds all of it, and opens when that ends', () => {
  const freezes = [frozen('freeze-1', {}, OPENS + HOUR)];
  const [view] = calendarViews(planned(WINDOWS), OPENS, 2, freezes);
  expect(view?.state).toMatchObject({
    open: false,
    until: iso(OPENS + HOUR),
    reason: `frozen until ${iso(OPENS + HOUR)} by ana because audit (freeze-1)`,
  });
  expect(view?.openings.map(({ opens }) => opens)).toEqual([iso(OPENS + HOUR), iso(OPENS + WEEK)]);
  expect(calendarViews(planned(WINDOWS), OPENS + HOUR, 2, freezes)[0]?.state.open).toBe(true);
});

it('opens when the first of its resources is no longer frozen, and says of how many a freeze holds', () => {
  const freezes = [
    frozen('freeze-1', { resource: ['kite-1'] }, OPENS + HOUR),
    frozen('freeze-2', { resource: ['kite-2'] }, OPENS + 2 * HOUR),
  ];
  expect(calendarViews(planned(WINDOWS), OPENS, 1, freezes)[0]?.state.until).toBe(iso(OPENS + HOUR));
  const [later] = calendarViews(planned(WINDOWS), OPENS + HOUR, 1, freezes);
  expect(later?.state).toMatchObject({ open: true, reason: 'window saturday' });
  expect(later?.notes).toEqual([`1 of them is frozen until ${iso(OPENS + 2 * HOUR)} by ana because audit (freeze-2).`]);
});

it('tells of a freeze also where the plan has no windows, and of one that goes by tags', () => {
  const plan = planned('margin: 1m');
  expect(calendarViews(plan, OPENS, 1)).toEqual([]);
  expect(calendarViews(plan, OPENS, 1, [frozen('freeze-1', { account: ['ali'] }, OPENS + HOUR)])).toEqual([]);
  const [view] = calendarViews(plan, OPENS, 1, [frozen('freeze-1', {}, OPENS + HOUR)]);
  expect(view?.state).toMatchObject({ open: false, until: iso(OPENS + HOUR) });
  const [byTag] = calendarViews(plan, OPENS, 1, [frozen('freeze-1', { tag: ['env=prod'] }, OPENS + HOUR)]);
  expect(byTag?.state.open).toBe(true);
  expect(byTag?.notes[0]).toContain('A freeze goes by tags');
});

it('does not deny what a freeze may leave out by its tags, and tells of it', () => {
  const some = { ...frozen('freeze-1', {}, OPENS + HOUR), except: [{ account: ['north'], tag: ['env=dev'] }] };
  const [open] = calendarViews(planned(WINDOWS), OPENS, 1, [some]);
  expect(open?.state).toMatchObject({ open: true, reason: 'window saturday' });
  expect(open?.notes).toEqual([expect.stringContaining('`uplift plan` tells what it holds: frozen until')]);
  const elsewhere = { ...some, except: [{ account: ['ali'], tag: ['env=dev'] }] };
  const [shut] = calendarViews(planned(WINDOWS), OPENS, 1, [elsewhere]);
  expect(shut).toMatchObject({ state: { open: false, until: iso(OPENS + HOUR) }, notes: [] });
});

it('has no opening from expireAt on, and says so', () => {
  const plan = planned(`${WINDOWS}\nexpireAt: ${written(OPENS + WEEK + HOUR)}`);
  const [view] = calendarViews(plan, OPENS, 5);
  expect(view?.openings.map(({ closes }) => closes)).toEqual([iso(OPENS + 4 * HOUR), iso(OPENS + WEEK + HOUR)]);
  const [over] = calendarViews(plan, OPENS + 2 * WEEK, 5);
  expect(over?.openings).toEqual([]);
  expect(over?.state).toMatchObject({
    open: false,
    until: null,
    reason: `expireAt ${iso(OPENS + WEEK + HOUR)} has passed`,
  });
});

it('starts nothing after startBy, or where no opening comes before it', () => {
  const startBy = iso(OPENS + HOUR);
  const plan = planned(`${WINDOWS}\nstartBy: ${written(OPENS + HOUR)}`);
  const [before] = calendarViews(plan, OPENS - HOUR, 2);
  expect(before?.openings).toHaveLength(2);
  expect(before?.notes[0]).toContain(startBy);
  const [after] = calendarViews(plan, OPENS + 2 * HOUR, 2);
  expect(after?.state).toMatchObject({ open: false, until: null });
  expect(after?.state.reason).toContain(`startBy ${startBy} has passed`);
  const [late] = calendarViews(plan, OPENS - HOUR, 2, [frozen('freeze-1', {}, OPENS + 2 * HOUR)]);
  expect(late?.openings).toEqual([]);
  expect(late?.state.reason).toBe(`no opening begins before startBy ${startBy}: nothing is started`);
});
