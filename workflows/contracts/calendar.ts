/**
 * When submits are allowed, as data: normalized from the plan, evaluated by `calendar/`. Workflows carry it and never
 * compute with it, since the answer may change with an update of the time zones.
 */

/** What recurs, or occurs once. Wall-clock times are `2026-01-03T22:00:00`, read in `timezone`. */
export interface Recurrence {
  /** The first start; with `rrule`, DTSTART. */
  readonly start: string;
  /** An IANA name: `Europe/Berlin`. */
  readonly timezone: string;
  /** ISO 8601, as in RFC 5545: `P1D` is one calendar day, `PT24H` are 24 hours. */
  readonly duration: string;
  /** Instead of `duration`, for what occurs once: the wall-clock end, not included. */
  readonly end?: string;
  /** RFC 5545, without DTSTART; left out, it occurs once. */
  readonly rrule?: string;
  /** Starts that do not occur although the rule has them. */
  readonly except?: readonly string[];
  /** Starts beyond those of the rule. */
  readonly also?: readonly string[];
}

export interface CalendarEntry {
  /** A window's name; of a blackout, its reason. */
  readonly name: string;
  readonly recurrence: Recurrence;
}

export interface Calendar {
  /** Open is their union; without any it is always open, but for blackouts. */
  readonly windows: readonly CalendarEntry[];
  /** Deny beats allow. */
  readonly blackouts: readonly CalendarEntry[];
}

/** What a calendar says of one instant. Instants are ISO 8601, UTC. */
export interface CalendarState {
  readonly at: string;
  readonly open: boolean;
  /** The edge at which this began; `null` when there is none within the bounds of the search. */
  readonly since: string | null;
  /** The first instant at which it is no longer so: half-open. `null` as for `since`. */
  readonly until: string | null;
  /** The windows that are open, or why it is shut: one line. */
  readonly reason: string;
}

/** A span in which submits are allowed: windows that touch or overlap are one, and blackouts cut it. */
export interface Opening {
  readonly opens: string | null;
  readonly closes: string | null;
  readonly windows: readonly string[];
}

/** What one kind of upgrade waits for: a calendar, and how much of an opening it needs. */
export interface GateRule {
  /** Position in `RolloutWindows.calendars`. */
  readonly calendar: number;
  /** Milliseconds before an opening's end from which on none of them starts. */
  readonly needsMs: number;
  /** Milliseconds before an opening's end from which on they may outlast it; of a rollout that tells nobody, left out. */
  readonly riskMs?: number;
}

/** When the upgrades of a rollout may start. Instants are ISO 8601, UTC. */
export interface RolloutWindows {
  readonly calendars: readonly Calendar[];
  /** By number: `UpgradeSpec.gate`. */
  readonly gates: readonly GateRule[];
  /** When it was applied. */
  readonly since: string;
  /** Nothing starts before it, whatever is open: a rollout of a schedule is created ahead of its own opening. */
  readonly notBefore?: string;
  /** By then its first upgrade has to be under way, or nothing of it is started. */
  readonly startBy?: string;
  /** From then on nothing is started. */
  readonly expireAt?: string;
  /** What comes of what its first opening leaves: it waits for the next one, or is not started at all. */
  readonly missedWindow: 'next' | 'expire';
}

/** Whether an upgrade may start at an instant. */
export interface GateState {
  readonly open: boolean;
  /** ISO 8601: when this changes. Open: from then on nothing starts. Shut: then the next opening begins. `null`: never. */
  readonly until: string | null;
  /** The edge of the window itself; `null` while shut, or where there is none. */
  readonly closes: string | null;
  readonly reason: string;
  /** It will not open again for this rollout. */
  readonly over: boolean;
  /** As `NextOpening.riskMs`, while it is open. */
  readonly riskMs?: number;
  /** For people: the openings that come then, a few of them; `closes` is `null` for one without an end. */
  readonly next?: readonly { readonly opens: string; readonly closes: string | null }[];
}

/** No window is open for any of some upgrades. */
export interface Shut {
  /** ISO 8601, UTC: the next opening for one of them. */
  readonly until: string;
  readonly reason: string;
}

/** The first that ends; `null` of none. */
export function soonest(shut: readonly Shut[]): Shut | null {
  return shut.toSorted((a, b) => Date.parse(a.until) - Date.parse(b.until))[0] ?? null;
}
