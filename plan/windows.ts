/** When submits are allowed: the plan's windows and blackouts, checked, and joined to one calendar for each target. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { OpenCalendar } from '../calendar/calendar.js';
import {
  DATE,
  dayOf,
  durationMs,
  isoDuration,
  type Objection,
  rangeEndObjection,
  rangeOf,
  recurrenceOf,
  ruleObjection,
  TIME,
  wallObjection,
  zoneObjection,
} from '../calendar/forms.js';
import { entriesOfIcs } from '../calendar/ics.js';
import { usualBelow, usualOf } from '../forecast/durations.js';
import type { Calendar, CalendarEntry, GateRule, Opening, RolloutWindows } from '../workflows/contracts/calendar.js';
import type { Usual } from '../workflows/contracts/durations.js';
import type { ResourceRef } from '../workflows/contracts/upgrade.js';
import { InputError, type InputProblem } from './errors.js';
import { suggest } from './problems.js';
import type { Path, Source } from './source.js';
import type { Scope, WindowSpec } from './windows-schema.js';

const DAY_MS = 86_400_000;
const MOST_ICS_BYTES = 4 * 1024 * 1024;

interface ScopedEntry extends CalendarEntry {
  readonly scope: Scope;
  readonly path: Path;
}

/** A target as far as windows go. */
export interface WindowedTarget {
  readonly resource: ResourceRef;
  readonly tags: Readonly<Record<string, string>>;
  /** How long its upgrade ordinarily takes, at the plan's scale. */
  readonly expectedMs: number;
  readonly path: Path;
}

/** How long upgrades take, and what that means for windows. Milliseconds, at the plan's scale. */
export interface PlannedDurations {
  /** `isGiven`: by the plan, not by the cloud's documents. */
  readonly services: Readonly<Record<string, { readonly usual: Usual; readonly isGiven: boolean }>>;
  readonly marginMs: number;
  readonly onlyIfFits: boolean;
}

/** The windows of a plan; `since` is added when it is applied. */
export type PlannedWindows = Omit<RolloutWindows, 'since'>;

export interface ResolvedWindows {
  /** `null` for a plan without windows, blackouts and bounds: it may start at any time. */
  readonly windows: PlannedWindows | null;
  /** The gate of each target, by its position; empty without windows. */
  readonly gates: readonly number[];
  readonly problems: readonly InputProblem[];
}

/**
 * @param now epoch milliseconds: whether a window still occurs depends on it
 * @param accounts names that there are
 * @param mayBeOver as `PlanContext.mayBeOver`
 */
export function resolveWindows(
  source: Source,
  spec: WindowSpec,
  targets: readonly WindowedTarget[],
  {
    now,
    accounts,
    mayBeOver = false,
  }: { readonly now: number; readonly accounts: readonly string[]; readonly mayBeOver?: boolean },
): ResolvedWindows {
  const problems: InputProblem[] = [];
  const complain: Complain = (path, { message, remedy }, empty = false) => {
    const problem = source.problem(['spec', ...path], message, remedy);
    problems.push(empty ? { ...problem, fromEmptiness: true } : problem);
  };
  const windows = windowsOf(spec, complain);
  const blackouts = blackoutsOf(source, spec, complain);
  scopeProblems(spec, accounts, complain);
  durationProblems(spec, targets, complain);
  boundProblems(spec, mayBeOver ? -Infinity : now, complain);
  if (problems.some(({ fromEmptiness }) => fromEmptiness !== true)) return { windows: null, gates: [], problems };
  const bounds = {
    ...(spec.startBy === undefined ? {} : { startBy: iso(spec.startBy) }),
    ...(spec.expireAt === undefined ? {} : { expireAt: iso(spec.expireAt) }),
    missedWindow: spec.missedWindow ?? 'next',
  };
  if (windows.length + blackouts.length === 0) {
    if (Object.keys(bounds).length === 1) return { windows: null, gates: [], problems };
  }

  const calendars: Calendar[] = [];
  const rules: GateRule[] = [];
  const known = new Map<string, number>();
  const gates = targets.map((target) => {
    const fits = (entry: ScopedEntry): boolean => applies(entry.scope, target);
    const own = windows.filter(fits);
    if (own.length === 0 && windows.length > 0) {
      const message = `no window holds for ${target.resource.service} ${target.resource.id}`;
      const remedy = 'add one for it, or remove the `for` of one';
      problems.push(source.problem(target.path, message, remedy));
    }
    const calendar = place(calendars, known, { windows: own.map(plain), blackouts: blackouts.filter(fits).map(plain) });
    return place(rules, known, { calendar, needsMs: needOf(spec, target) });
  });
  if (problems.every(({ fromEmptiness }) => fromEmptiness)) {
    const members = targets.map((target, at) => ({
      target,
      rule: rules[gates[at] ?? 0] ?? { calendar: 0, needsMs: 0 },
    }));
    const open = calendars.map((calendar) => new OpenCalendar(calendar));
    const until = spec.expireAt === undefined || mayBeOver ? Infinity : Date.parse(spec.expireAt);
    windows.forEach((window) => {
      const of = members.filter(({ target }) => applies(window.scope, target));
      const objection = windowObjection(window, blackouts, of, open, { now, until });
      if (objection !== null) complain(window.path, objection, of.length === 0);
    });
    if (problems.every(({ fromEmptiness }) => fromEmptiness)) {
      for (const { target, rule } of unique(members)) {
        const objection = fitObjection(target, rule, open[rule.calendar], now);
        if (objection !== null) problems.push(source.problem(target.path, objection.message, objection.remedy));
      }
    }
  }
  return { windows: { calendars, gates: rules, ...bounds }, gates, problems };
}

/**
 * When the rollouts of a schedule are due: at the openings of this calendar. Of the blackouts only those count that hold
 * for every target, since the others leave something to be upgraded.
 *
 * @param names of windows; none: all of the plan's
 * @throws InputError for a plan without windows, or with bounds that only one rollout can have
 */
export function scheduleCalendar(source: Source, names: readonly string[] = []): Calendar {
  const spec = ((source.data as { spec?: unknown } | null)?.spec ?? {}) as WindowSpec;
  const problems: InputProblem[] = [];
  const complain: Complain = (path, { message, remedy }) => {
    problems.push(source.problem(['spec', ...path], message, remedy));
  };
  for (const bound of ['startBy', 'expireAt'] as const) {
    if (spec[bound] === undefined) continue;
    const message = 'is one instant, and a schedule creates rollouts again and again';
    complain([bound], { message, remedy: 'remove it; `missedWindow: expire` ends each with its own opening' });
  }
  if (spec.windows === undefined) {
    complain([], { message: 'has no windows, and a schedule goes by them', remedy: 'add `windows` to the plan' });
  }
  const known = (spec.windows ?? []).map(({ name }) => name);
  for (const name of names.filter((one) => !known.includes(one))) {
    complain(['windows'], { message: `has no window ${JSON.stringify(name)}`, remedy: suggest(name, known) });
  }
  const windows = windowsOf(spec, complain).filter(({ name }) => names.length === 0 || names.includes(name));
  const blackouts = blackoutsOf(source, spec, complain).filter(({ scope }) => scope === undefined);
  if (problems.length > 0) throw new InputError(problems);
  return { windows: windows.map(plain), blackouts: blackouts.map(plain) };
}

/** What the `.ics` files of a plan hold, by the names that it gives them: for a plan that is to be read elsewhere. */
export function filesOf(source: Source): Record<string, string> {
  const { blackouts = [] } = ((source.data as { spec?: unknown } | null)?.spec ?? {}) as WindowSpec;
  const texts = blackouts.flatMap(({ ics }) => (ics === undefined ? [] : [[ics, readIcs(source, ics).text] as const]));
  return Object.fromEntries(texts.flatMap(([ics, text]) => (text === null ? [] : [[ics, text]])));
}

/** Whether windows or blackouts go by tags, which only the clouds know. */
export function windowsUseTags(spec: unknown): boolean {
  const { windows, blackouts } = (spec ?? {}) as { windows?: unknown; blackouts?: unknown };
  return [windows, blackouts].some(
    (list) =>
      Array.isArray(list) &&
      list.some((one: unknown) => (one as { for?: { tags?: unknown } } | null)?.for?.tags != null),
  );
}

/** @param empty as `InputProblem.fromEmptiness` */
type Complain = (path: Path, objection: Objection, empty?: boolean) => void;

function windowsOf({ windows = [] }: WindowSpec, complain: Complain): ScopedEntry[] {
  return windows.flatMap(({ name, for: scoped, ...form }, at) => {
    const path = ['windows', at];
    if (!isSound(form, path, complain)) return [];
    return [{ name, scope: scoped, path, recurrence: recurrenceOf(form) }];
  });
}

function blackoutsOf(source: Source, { blackouts = [] }: WindowSpec, complain: Complain): ScopedEntry[] {
  return blackouts.flatMap((entry, at): ScopedEntry[] => {
    const { reason, timezone, dates, from, to, ics, zones, for: scoped } = entry;
    const path = ['blackouts', at];
    const of = (recurrence: CalendarEntry['recurrence']) => ({ name: reason, scope: scoped, path, recurrence });
    const isBad = [
      told(complain, [...path, 'timezone'], zoneObjection(timezone)),
      ...(dates ?? []).map((day, index) => told(complain, [...path, 'dates', index], dateObjection(day))),
      from !== undefined && told(complain, [...path, 'from'], wallObjection(from)),
      to !== undefined && told(complain, [...path, 'to'], rangeEndObjection(to)),
      ...Object.entries(zones ?? {}).map(([name, iana]) =>
        told(complain, [...path, 'zones', name], zoneObjection(iana)),
      ),
    ].includes(true);
    if (isBad) return [];
    if (dates !== undefined) {
      return dates.flatMap((day, index) => {
        const whole = of(dayOf(day, timezone));
        if (occurs(whole)) return [whole];
        complain([...path, 'dates', index], {
          message: `${timezone} has no such day`,
          remedy: 'correct it, or remove it',
        });
        return [];
      });
    }
    if (from !== undefined && to !== undefined) {
      const range = of(rangeOf(from, to, timezone));
      if (occurs(range)) return [range];
      complain([...path, 'to'], { message: 'is not after `from`', remedy: 'give the later one as `to`' });
      return [];
    }
    if (ics !== undefined) {
      const { text, objection } = readIcs(source, ics);
      if (objection !== null) complain([...path, 'ics'], objection);
      if (text === null) return [];
      const { entries, objections } = entriesOfIcs(text, {
        timezone,
        reason,
        ...(zones === undefined ? {} : { zones }),
      });
      for (const { message, remedy } of objections)
        complain([...path, 'ics'], { message: `${ics} ${message}`, remedy });
      return entries.flatMap(({ name, recurrence }) => {
        // Without those that were moved or cancelled, of which a series may consist.
        if (occurs({ name, recurrence: { ...recurrence, except: [] } }))
          return [{ name: `${reason}: ${name}`, scope: scoped, path, recurrence }];
        const message = `${ics} event "${name}": never occurs: its zone has no such day`;
        complain([...path, 'ics'], { message, remedy: 'correct its date, or remove it' });
        return [];
      });
    }
    const { start: begins, duration: length } = entry;
    if (begins === undefined || length === undefined) return [];
    const form = { days: entry.days, rrule: entry.rrule, start: begins, duration: length, timezone };
    if (!isSound(form, path, complain)) return [];
    const recurring = of(recurrenceOf(form));
    if (occurs(recurring)) return [recurring];
    complain(path, { message: `blackout "${reason}" never occurs`, remedy: 'correct its rule, or remove it' });
    return [];
  });
}

/** Whether there is any instant to it, also a past one: within ten years of its start. */
function occurs(entry: CalendarEntry): boolean {
  const alone = new OpenCalendar({ windows: [entry], blackouts: [] });
  // No zone is further from UTC than a day.
  const before = Date.parse(`${entry.recurrence.start}Z`) - DAY_MS;
  return alone.isOpen(before) || alone.nextEdge(before) !== null;
}

function isSound(form: Parameters<typeof recurrenceOf>[0], path: Path, complain: Complain): boolean {
  const isBad = [
    told(complain, [...path, 'timezone'], zoneObjection(form.timezone)),
    told(complain, [...path, 'start'], startObjection(form)),
    form.rrule !== undefined && told(complain, [...path, 'rrule'], ruleObjection(form.rrule, form.start)),
  ].includes(true);
  return !isBad;
}

function startObjection({ days: weekdays, start: text }: { days?: unknown; start: string }): Objection | null {
  if (TIME.test(text)) return null;
  if (weekdays !== undefined || DATE.test(text)) {
    const also = weekdays === undefined ? ', or a date and time: 2026-01-10T22:00' : '';
    return { message: `"${text}" is no time of day`, remedy: `write 22:00${also}` };
  }
  return wallObjection(text);
}

function dateObjection(day: string): Objection | null {
  return DATE.test(day) ? wallObjection(day) : { message: `"${day}" is no date`, remedy: 'write 2026-12-24' };
}

/** Whether there was something to tell. */
function told(complain: Complain, path: Path, objection: Objection | null): boolean {
  if (objection !== null) complain(path, objection);
  return objection !== null;
}

/** Nothing of the file is quoted but the titles of its events. */
function readIcs(source: Source, ics: string): { text: string | null; objection: Objection | null } {
  const refuse = (message: string, remedy: string) => ({ text: null, objection: { message, remedy } });
  const kept = source.kept?.[ics];
  if (kept !== undefined) return { text: kept, objection: null };
  const file = resolve(dirname(source.file), ics);
  try {
    if (statSync(file).size > MOST_ICS_BYTES) return refuse('is larger than 4 MiB', 'export the years that matter');
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)), objection: null };
  } catch (error) {
    if (error instanceof TypeError) return refuse('is not UTF-8 text', 'export it anew, as UTF-8');
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return refuse('there is no such file', 'check the path; it is relative to the plan');
    return refuse(`cannot be read: ${code ?? 'unknown error'}`, 'name a file that this user can read');
  }
}

function scopeProblems(
  { windows = [], blackouts = [] }: WindowSpec,
  accounts: readonly string[],
  complain: Complain,
): void {
  for (const [key, list] of Object.entries({ windows, blackouts })) {
    list.forEach(({ for: scoped }, at) => {
      scoped?.accounts?.forEach((name, index) => {
        if (accounts.includes(name)) return;
        const message = `${JSON.stringify(name)} is no account of the accounts file`;
        complain([key, at, 'for', 'accounts', index], { message, remedy: suggest(name, accounts) });
      });
    });
  }
}

function durationProblems(
  { durations = {} }: WindowSpec,
  targets: readonly WindowedTarget[],
  complain: Complain,
): void {
  const services = [...new Set(targets.map(({ resource }) => resource.service))];
  for (const [name, given] of Object.entries(durations)) {
    if (typeof given !== 'string' && lengthMs(given.p90) < lengthMs(given.p50)) {
      complain(['durations', name, 'p90'], { message: 'is less than `p50`', remedy: 'give the longer one as `p90`' });
    }
    if (services.includes(name)) continue;
    complain(['durations', name], { message: 'is no service of this plan', remedy: suggest(name, services) }, true);
  }
}

function boundProblems({ startBy, expireAt }: WindowSpec, now: number, complain: Complain): void {
  for (const [name, text] of Object.entries({ startBy, expireAt })) {
    if (text === undefined || Date.parse(text) > now) continue;
    complain([name], { message: 'has passed', remedy: 'give a later time, or remove it' });
  }
  if (startBy === undefined || expireAt === undefined || Date.parse(startBy) <= Date.parse(expireAt)) return;
  complain(['expireAt'], { message: 'is before `startBy`', remedy: 'give the later one as `expireAt`' });
}

/** Why a window is of no use to any of its targets; `null` when it is of some. */
function windowObjection(
  window: ScopedEntry,
  blackouts: readonly ScopedEntry[],
  members: readonly { readonly target: WindowedTarget; readonly rule: GateRule }[],
  calendars: readonly OpenCalendar[],
  { now, until }: { readonly now: number; readonly until: number },
): Objection | null {
  const alone = new OpenCalendar({ windows: [window], blackouts: [] });
  if (alone.openings(now, 1).length === 0) {
    return { message: `window "${window.name}" never occurs`, remedy: 'correct its rule, or remove it' };
  }
  if (members.length === 0) {
    return { message: `window "${window.name}" holds for no target`, remedy: 'correct its `for`, or remove it' };
  }
  const everywhere = blackouts.filter(({ scope: scoped }) => members.every(({ target }) => applies(scoped, target)));
  const own = new OpenCalendar({ windows: [window], blackouts: everywhere });
  const [first] = own.openings(now, 1);
  if (first === undefined) {
    return { message: `blackouts cover window "${window.name}"`, remedy: 'correct them, or remove the window' };
  }
  if (first.opens !== null && Date.parse(first.opens) >= until) {
    return {
      message: `window "${window.name}" opens after \`expireAt\``,
      remedy: 'give a later `expireAt`, or remove it',
    };
  }
  let longest = 0;
  for (const { rule } of unique(members)) {
    for (const length of lengthsOf(calendars[rule.calendar], now, own)) {
      longest = Math.max(longest, length);
      if (longest > rule.needsMs) return null;
    }
  }
  const least = Math.min(...members.map(({ rule }) => rule.needsMs));
  return {
    message: `window "${window.name}" is open for ${shown(longest)}, and the shortest upgrade in it needs more than ${shown(least)}`,
    remedy: FIT_REMEDY,
  };
}

const FIT_REMEDY = 'lengthen the window, correct `durations`, or set `startOnlyIfFits: false`';

/** Why an upgrade can never fit into any opening; `null` when it can into one. */
function fitObjection(
  { resource }: WindowedTarget,
  { needsMs }: GateRule,
  calendar: OpenCalendar | undefined,
  now: number,
): Objection | null {
  let longest: number | null = null;
  for (const length of lengthsOf(calendar, now)) {
    if (length > needsMs) return null;
    longest = Math.max(longest ?? 0, length);
  }
  if (longest === null) {
    return { message: `is never open for ${resource.service} ${resource.id}`, remedy: 'correct windows and blackouts' };
  }
  return {
    message: `an upgrade of ${resource.service} needs more than ${shown(needsMs)}, and no opening is longer than ${shown(longest)}`,
    remedy: FIT_REMEDY,
  };
}

/**
 * How long each opening of a calendar is, in milliseconds, from the one that `now` lies in on.
 *
 * @param within only those in which this one is open too
 */
function* lengthsOf(calendar: OpenCalendar | undefined, now: number, within = calendar): Generator<number> {
  if (calendar === undefined || within === undefined) return;
  // As a whole, also what has passed of it.
  for (const { opens } of within.openings(now, 1)) {
    yield* calendar.openings(opens === null ? now : Date.parse(opens), 1).map(lengthOf);
  }
  const wholes = calendar.spansFrom(now);
  let whole = wholes.next();
  for (const { opens } of within.spansFrom(now)) {
    while (whole.done !== true && whole.value.closes <= opens) whole = wholes.next();
    if (whole.done === true) return;
    yield whole.value.closes - whole.value.opens;
  }
}

function lengthOf({ opens, closes }: Opening): number {
  return opens === null || closes === null ? Infinity : Date.parse(closes) - Date.parse(opens);
}

/** One member of each rule: thousands of targets share a few. */
function unique<T extends { readonly rule: GateRule }>(members: readonly T[]): T[] {
  return [...new Map(members.map((member) => [member.rule, member])).values()];
}

function applies(scoped: Scope, { resource, tags }: WindowedTarget): boolean {
  if (scoped === undefined) return true;
  const fitsTags = Object.entries(scoped.tags ?? {}).every(([name, value]) => tags[name] === value);
  return (
    (scoped.accounts?.includes(resource.account) ?? true) &&
    (scoped.regions?.includes(resource.region) ?? true) &&
    fitsTags
  );
}

/** From so long before an opening's end on, it is not started. */
function needOf(spec: WindowSpec, target: WindowedTarget): number {
  const takes = givenFor(spec, target.resource.service)?.p90 ?? target.expectedMs;
  return marginOf(spec) + ((spec.startOnlyIfFits ?? true) ? takes : 0);
}

function marginOf({ margin }: WindowSpec): number {
  return margin === undefined ? 0 : lengthMs(margin);
}

function givenFor({ durations = {} }: WindowSpec, service: string): Usual | null {
  const given = durations[service];
  if (given === undefined) return null;
  return typeof given === 'string' ? usualBelow(lengthMs(given)) : usualOf(lengthMs(given.p50), lengthMs(given.p90));
}

/** How long upgrades of each service take, by the plan or else by the clouds' documents. */
export function plannedDurations(spec: WindowSpec, targets: readonly WindowedTarget[]): PlannedDurations {
  const services = new Map(targets.map((target) => [target.resource.service, target]));
  return {
    services: Object.fromEntries(
      [...services].map(([service, { expectedMs }]) => {
        const given = givenFor(spec, service);
        return [service, { usual: given ?? usualOf(expectedMs), isGiven: given !== null }];
      }),
    ),
    marginMs: marginOf(spec),
    onlyIfFits: spec.startOnlyIfFits ?? true,
  };
}

function lengthMs(text: string): number {
  return durationMs(isoDuration(text) ?? text);
}

/** The number of `value` in `list`, where it is put if it is new. */
function place<T>(list: T[], known: Map<string, number>, value: T): number {
  const key = JSON.stringify(value);
  const at = known.get(key) ?? list.push(value) - 1;
  known.set(key, at);
  return at;
}

function plain({ name, recurrence }: ScopedEntry): CalendarEntry {
  return { name, recurrence };
}

function iso(text: string): string {
  return new Date(text).toISOString();
}

/** `1 h 30 min` */
function shown(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const parts = [minutes >= 60 ? `${Math.floor(minutes / 60)} h` : '', minutes % 60 > 0 ? `${minutes % 60} min` : ''];
  return parts.filter((part) => part !== '').join(' ') || `${Math.round(ms / 1000)} s`;
}
