/** A calendar's answers: open or shut, since and until when, why, and the next openings. Pure: it has no clock. */
import type { Calendar, CalendarEntry, CalendarState, Opening } from '../workflows/contracts/calendar.js';
import { Occurrences, type Span } from './recurrence.js';

const DAY_MS = 86_400_000;
/** How far an edge or a long enough opening is looked for; it grows while there is none. Beyond it, none matters. */
const AHEAD_MS = [10 * DAY_MS, 100 * DAY_MS, 1_000 * DAY_MS, 3_700 * DAY_MS];
const BACK_MS = [10 * DAY_MS, 100 * DAY_MS, 400 * DAY_MS];
/** More than was asked for is expanded at once, so that who goes on from edge to edge expands seldom. */
const AT_ONCE = 6;
/** The name of an opening that no window makes. */
export const BETWEEN_BLACKOUTS = 'between blackouts';

export interface NamedSpan extends Span {
  readonly name: string;
}

/** What a calendar was in some time: when it was open, with the windows that were, and when it was blacked out. */
export interface CalendarSpans {
  readonly open: readonly NamedSpan[];
  readonly blackouts: readonly NamedSpan[];
}

interface Expanded {
  readonly name: string;
  readonly occurrences: Occurrences;
}

/** A calendar, ready to be asked. Expanding it is the costly part, so keep it while its plan lives. */
export class OpenCalendar {
  private readonly windows: readonly Expanded[];
  private readonly blackouts: readonly Expanded[];
  /** What was expanded last. */
  private known = { from: 0, to: 0, spans: [] as readonly Span[] };

  constructor({ windows, blackouts }: Calendar) {
    this.windows = windows.map(expanded);
    this.blackouts = blackouts.map(expanded);
  }

  /** @param at epoch milliseconds */
  state(at: number): CalendarState {
    const { open, reason } = this.look(at);
    return {
      at: iso(at),
      open,
      since: isoOrNull(this.edgeBefore(at, open)),
      until: isoOrNull(this.edgeAfter(at, open)),
      reason,
    };
  }

  isOpen(at: number): boolean {
    return this.look(at).open;
  }

  /** The first instant after `at` at which it is open no longer, or open again; `null` when there is none within ten years. */
  nextEdge(at: number): number | null {
    return this.edgeAfter(at, this.isOpen(at));
  }

  /** The opening that `at` lies in, if any, and those that follow, at most `count`. */
  openings(at: number, count: number): Opening[] {
    const found: Opening[] = [];
    for (const opening of this.openingsFrom(at)) {
      if (found.push(opening) >= count) break;
    }
    return found;
  }

  /** As `openings`, one by one: each costs its own search. */
  *openingsFrom(at: number): Generator<Opening> {
    for (let from: number | null = at; from !== null;) {
      const open = this.isOpen(from);
      const edge = this.edgeAfter(from, open);
      if (open) {
        const opens = from === at ? this.edgeBefore(at, true) : from;
        const windows = namesOf(spansOf(this.windows, from, edge ?? from + 1));
        yield { opens: isoOrNull(opens), closes: isoOrNull(edge), windows };
      }
      from = edge;
    }
  }

  /**
   * When it is open from `at` (epoch milliseconds) on, for ten years: without names, and so cheap enough to look through.
   * The first one begins with `at` where that lies in it; one that outlasts the search has no end.
   */
  *spansFrom(at: number): Generator<Span> {
    let done = at;
    for (const ahead of AHEAD_MS) {
      const to = at + ahead;
      const isLast = ahead === AHEAD_MS.at(-1);
      for (const { opens, closes } of clipped(this.expand(done, to), done, to)) {
        if (closes <= opens) continue;
        // What goes on at the end of this look is the next one's.
        done = closes < to ? closes : opens;
        if (closes < to) yield { opens, closes };
        else if (isLast) yield { opens, closes: Infinity };
      }
    }
  }

  /** What it is within [from, to), in epoch milliseconds and clipped to it. */
  during(from: number, to: number): CalendarSpans {
    if (from >= to) return { open: [], blackouts: [] };
    const windows = spansOf(this.windows, from, to);
    const open = this.expand(from, to).map(({ opens, closes }) => {
      const names = namesOf(windows.filter((window) => window.opens < closes && window.closes > opens));
      return { opens, closes, name: names.join(', ') || BETWEEN_BLACKOUTS };
    });
    return { open, blackouts: clipped(spansOf(this.blackouts, from, to), from, to) };
  }

  private look(at: number): { open: boolean; reason: string } {
    const denied = namesOf(spansOf(this.blackouts, at, at + 1));
    if (denied.length > 0) return { open: false, reason: `blackout: ${denied.join('; ')}` };
    if (this.windows.length === 0) return { open: true, reason: 'no windows: always open' };
    const open = namesOf(spansOf(this.windows, at, at + 1));
    if (open.length > 0) return { open: true, reason: `window ${open.join(', ')}` };
    return { open: false, reason: 'outside every window' };
  }

  private edgeAfter(at: number, open: boolean): number | null {
    if (open && this.windows.length === 0 && this.blackouts.length === 0) return null;
    for (const ahead of AHEAD_MS) {
      const to = at + ahead;
      const spans = this.openSpans(at, to);
      const edge = open ? spans[0]?.closes : spans[0]?.opens;
      if (edge !== undefined && edge < to) return edge;
    }
    return null;
  }

  private edgeBefore(at: number, open: boolean): number | null {
    if (open && this.windows.length === 0 && this.blackouts.length === 0) return null;
    for (const back of BACK_MS) {
      const from = at - back;
      const last = this.openSpans(from, at + 1).at(-1);
      const edge = open ? last?.opens : last?.closes;
      if (edge !== undefined && edge > from) return edge;
    }
    return null;
  }

  /** When it is open within [from, to), clipped to it, in order, none touching another. */
  private openSpans(from: number, to: number): readonly Span[] {
    if (from < this.known.from || to > this.known.to) {
      const until = to + (AT_ONCE - 1) * (to - from);
      this.known = { from, to: until, spans: this.expand(from, until) };
    }
    return clipped(this.known.spans, from, to).filter(({ opens, closes }) => closes > opens);
  }

  private expand(from: number, to: number): Span[] {
    const allowed =
      this.windows.length === 0
        ? [{ opens: from, closes: to }]
        : union(clipped(spansOf(this.windows, from, to), from, to));
    return without(allowed, union(spansOf(this.blackouts, from, to)));
  }
}

function expanded({ name, recurrence }: CalendarEntry): Expanded {
  return { name, occurrences: new Occurrences(recurrence) };
}

function spansOf(entries: readonly Expanded[], from: number, to: number): NamedSpan[] {
  return entries.flatMap(({ name, occurrences }) => occurrences.between(from, to).map((span) => ({ ...span, name })));
}

function namesOf(spans: readonly NamedSpan[]): string[] {
  return [...new Set(spans.map(({ name }) => name))];
}

function clipped<S extends Span>(spans: readonly S[], from: number, to: number): S[] {
  return spans.map((span) => ({ ...span, opens: Math.max(span.opens, from), closes: Math.min(span.closes, to) }));
}

/** Spans that overlap or touch become one. */
function union(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.opens - b.opens)) {
    const last = joined.at(-1);
    if (last === undefined || span.opens > last.closes) joined.push({ opens: span.opens, closes: span.closes });
    else joined[joined.length - 1] = { opens: last.opens, closes: Math.max(last.closes, span.closes) };
  }
  return joined;
}

/** What of `allowed` is left; both are unions. */
function without(allowed: readonly Span[], denied: readonly Span[]): Span[] {
  return allowed.flatMap(({ opens, closes }) => {
    const left: Span[] = [];
    let from = opens;
    for (const span of denied) {
      if (span.closes <= from || span.opens >= closes) continue;
      if (span.opens > from) left.push({ opens: from, closes: span.opens });
      from = span.closes;
    }
    if (from < closes) left.push({ opens: from, closes });
    return left;
  });
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}
