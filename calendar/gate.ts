/** Whether an upgrade may start: the calendar that holds for it, what it needs of an opening, and the rollout's bounds. */
import type { GateState, RolloutWindows } from '../workflows/contracts/calendar.js';
import type { NextOpening } from '../workflows/contracts/notices.js';
import { span } from '../workflows/contracts/soak.js';
import { BETWEEN_BLACKOUTS, type CalendarSpans, OpenCalendar } from './calendar.js';
import type { Span } from './recurrence.js';

/** The windows of a rollout, ready to be asked at any instant; pure, and costly to make. */
export class Gates {
  private readonly windows: RolloutWindows;
  private readonly calendars: readonly OpenCalendar[];
  /** Of each gate, with `missedWindow: expire`: when its first opening ends. */
  private readonly firstEnds = new Map<number, number>();
  /** Of each gate: the opening that was found last, and from when on it is the next one. */
  private readonly found = new Map<number, { readonly from: number; readonly opens: number }>();

  constructor(windows: RolloutWindows) {
    this.windows = windows;
    this.calendars = windows.calendars.map((calendar) => new OpenCalendar(calendar));
  }

  /** Epoch milliseconds; `Infinity` without one. */
  get startBy(): number {
    const { startBy } = this.windows;
    return startBy === undefined ? Infinity : Date.parse(startBy);
  }

  /**
   * @param gate `UpgradeSpec.gate`
   * @param at epoch milliseconds
   * @param hasStarted whether anything of the rollout has been under way: then `startBy` is kept
   * @throws RangeError for a gate that there is not
   */
  state(gate: number, at: number, hasStarted: boolean): GateState {
    const { calendar, needsMs } = this.rule(gate);
    const { startBy, expireAt, notBefore } = this.windows;
    if (notBefore !== undefined && at < Date.parse(notBefore)) {
      const then = this.state(gate, Date.parse(notBefore), hasStarted);
      const reason = `its schedule lets it begin at ${notBefore}`;
      return then.open ? { open: false, until: notBefore, closes: null, reason, over: false } : then;
    }
    if (!hasStarted && startBy !== undefined && at >= Date.parse(startBy)) return over(`startBy ${startBy} has passed`);
    if (expireAt !== undefined && at >= Date.parse(expireAt)) return over(`expireAt ${expireAt} has passed`);
    const limit = this.limit(gate);
    if (at >= limit) return over(`its window closed at ${iso(limit)}, and the plan says missedWindow: expire`);

    const state = calendar.state(at);
    const closes = Math.min(state.until === null ? Infinity : Date.parse(state.until), limit);
    const first = hasStarted || startBy === undefined ? Infinity : Date.parse(startBy);
    const until = Math.min(closes - needsMs, limit, first);
    if (state.open && at < until) {
      return {
        open: true,
        until: isoOrNull(until),
        closes: isoOrNull(closes),
        reason: state.reason,
        over: false,
        ...this.riskIn(this.windows.gates[gate]?.calendar ?? 0),
      };
    }
    const next = this.nextOpening(gate, at);
    const reason = state.open ? `too little is left of ${state.reason}: it closes at ${iso(closes)}` : state.reason;
    if (next === null) return over(`${reason}, and ${this.whyNone(gate, at)}`);
    const last = Math.min(limit, first);
    if (next < limit && next >= first && this.opensBefore(first, at)) {
      return { open: false, until: iso(first), closes: null, reason: state.reason, over: false };
    }
    if (next >= last) return over(`${state.reason}, and the next opening, ${iso(next)}, is too late for ${iso(last)}`);
    return { open: false, until: iso(next), closes: null, reason, over: false };
  }

  /** Whether none of its calendars is open. @param at epoch milliseconds */
  areShut(at: number): boolean {
    return this.calendars.every((calendar) => !calendar.isOpen(at));
  }

  /** The opening of any of its calendars that is open at `at` (epoch milliseconds) or comes next; `null` when none does. */
  openingFrom(at: number): NextOpening | null {
    const { notBefore, expireAt } = this.windows;
    const from = Math.max(at, notBefore === undefined ? 0 : Date.parse(notBefore));
    const openings = this.calendars
      .flatMap((calendar, index) => calendar.openings(from, 1).map((opening) => ({ ...opening, index })))
      .flatMap(({ opens, closes, windows, index }): NextOpening[] => {
        // Shut neither before nor ever after: nobody needs to be told.
        if (opens === null && closes === null) return [];
        const names = windows.length === 0 ? [BETWEEN_BLACKOUTS] : windows;
        return [{ opens: opens ?? iso(from), closes, windows: names, ...this.riskIn(index) }];
      })
      .toSorted((a, b) => Date.parse(a.opens) - Date.parse(b.opens));
    const [first, ...others] = openings;
    if (first === undefined || (expireAt !== undefined && Date.parse(first.opens) >= Date.parse(expireAt))) return null;
    // Those that begin before it closes are one opening for people.
    return others.reduce<NextOpening>((one, { opens, closes, windows, riskMs = 0 }) => {
      if (one.closes === null || opens > one.closes) return one;
      const later = closes === null || closes > one.closes ? closes : one.closes;
      const risk = one.riskMs === undefined ? {} : { riskMs: Math.max(one.riskMs, riskMs) };
      return { opens: one.opens, closes: later, windows: [...new Set([...one.windows, ...windows])], ...risk };
    }, first);
  }

  /**
   * What each of its calendars is within [from, to), in epoch milliseconds, as far as the rollout's own bounds let anything
   * start then. An opening counts whole, whatever of it is too short for what waits.
   */
  during(from: number, to: number): CalendarSpans[] {
    const { notBefore } = this.windows;
    const first = notBefore === undefined ? from : Math.max(from, Date.parse(notBefore));
    return this.calendars.map((calendar, index) => {
      const limits = this.windows.gates.flatMap((rule, gate) => (rule.calendar === index ? this.limit(gate) : []));
      return calendar.during(first, Math.min(to, Math.max(...limits)));
    });
  }

  /** The longest of a calendar's gates. */
  private riskIn(calendar: number): Pick<NextOpening, 'riskMs'> {
    const risks = this.windows.gates.flatMap((rule) => (rule.calendar === calendar ? (rule.riskMs ?? []) : []));
    return risks.length === 0 ? {} : { riskMs: Math.max(...risks) };
  }

  /** From when on nothing is started. */
  private limit(gate: number): number {
    const { expireAt, missedWindow } = this.windows;
    const expires = expireAt === undefined ? Infinity : Date.parse(expireAt);
    return missedWindow === 'expire' ? Math.min(expires, this.firstEnd(gate)) : expires;
  }

  private firstEnd(gate: number): number {
    const known = this.firstEnds.get(gate);
    if (known !== undefined) return known;
    const { calendar, needsMs } = this.rule(gate);
    const since = Date.parse(this.windows.since);
    let end = Infinity;
    for (const { opens, closes } of calendar.spansFrom(since)) {
      if (closes - opens <= needsMs) continue;
      end = closes;
      break;
    }
    this.firstEnds.set(gate, end);
    return end;
  }

  /**
   * The openings after `at` that are long enough for what waits at a gate, at most `count`.
   *
   * @param at epoch milliseconds
   * @throws RangeError for a gate that there is not
   */
  next(gate: number, at: number, count: number): NonNullable<GateState['next']> {
    const { notBefore } = this.windows;
    // One that begins right then is one of them.
    const from = Math.max(at, notBefore === undefined ? 0 : Date.parse(notBefore) - 1);
    const found: { opens: string; closes: string | null }[] = [];
    for (const { opens, closes } of this.following(gate, from)) {
      if (found.length === count || opens >= this.limit(gate)) break;
      found.push({ opens: iso(opens), closes: isoOrNull(closes) });
    }
    return found;
  }

  /** Whether something else of the rollout may yet start in time: then its later openings count as well. */
  private opensBefore(instant: number, at: number): boolean {
    return this.windows.gates.some(({ calendar, needsMs }, gate) => {
      const { open, until } = this.calendars[calendar]?.state(at) ?? { open: false, until: null };
      const isOpen = open && (until === null || Date.parse(until) - needsMs > at);
      return isOpen || (this.nextOpening(gate, at) ?? Infinity) < instant;
    });
  }

  /** When the next opening begins that is long enough; the one that `at` lies in has been judged already. */
  private nextOpening(gate: number, at: number): number | null {
    const known = this.found.get(gate);
    if (known !== undefined && at >= known.from && at < known.opens) return known.opens;
    for (const { opens } of this.following(gate, at)) {
      this.found.set(gate, { from: at, opens });
      return opens;
    }
    return null;
  }

  /** Those that begin after `at` and are long enough. */
  private *following(gate: number, at: number): Generator<Span> {
    const { calendar, needsMs } = this.rule(gate);
    for (const span of calendar.spansFrom(at)) {
      if (span.opens > at && span.closes - span.opens > needsMs) yield span;
    }
  }

  /** Where no opening after `at` is long enough: whether there is any, and how much is wanting. */
  private whyNone(gate: number, at: number): string {
    const { calendar, needsMs } = this.rule(gate);
    let longest = 0;
    for (const { opens, closes } of calendar.spansFrom(at)) {
      if (opens > at) longest = Math.max(longest, closes - opens);
    }
    if (longest === 0) return 'no opening follows';
    return `no opening that follows is long enough: the longest is ${span(longest)}, and an upgrade needs more than ${span(needsMs)}`;
  }

  private rule(gate: number): { calendar: OpenCalendar; needsMs: number } {
    const rule = this.windows.gates[gate];
    const calendar = rule === undefined ? undefined : this.calendars[rule.calendar];
    if (rule === undefined || calendar === undefined) throw new RangeError(`the rollout has no gate ${gate}`);
    return { calendar, needsMs: rule.needsMs };
  }
}

function over(reason: string): GateState {
  return { open: false, until: null, closes: null, reason, over: true };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function isoOrNull(ms: number): string | null {
  return ms === Infinity ? null : iso(ms);
}
