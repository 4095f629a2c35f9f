/** When waves and resources are expected to start and to end, as people read it. */
import type { Moments, UpgradeForecast, WaveForecast } from '../../forecast/forecast.js';
import type { Locked, RolloutForecast, Unforecast } from '../forecast.js';
import { localTime } from './calendar.js';
import type { Paint } from './paint.js';
import { count, wrap } from './text.js';

/** The head, and for each wave that has something left its line, and what of it does not fit. */
export function renderForecast(forecast: RolloutForecast, width: number, paint: Paint): string[] {
  const { waves, zone, ends, learnedFrom, without, locked } = forecast;
  const open = waves.filter(({ upgrades }) => upgrades.length > 0);
  if (open.length === 0) return [];
  const given = Object.keys(learnedFrom).filter((service) => learnedFrom[service] === 0);
  const sources = [
    ...Object.entries(learnedFrom).flatMap(([service, known]) =>
      known === 0 ? [] : [`${service} by ${count(known, 'finished upgrade')}`],
    ),
    ...(given.length === 0 ? [] : [`${given.join(', ')} as the plan or the documents say`]),
  ];
  const head = [`ends ${momentsText(ends, zone)}`, ...sources].join('; ');
  const indented = (text: string, by: number) => wrap(text, width - by).map((line) => `${' '.repeat(by)}${line}`);
  return [
    paint.bold('Forecast'),
    ...indented(head, 2),
    ...open.flatMap((wave) => [
      ...indented(waveLine(wave, zone), 2),
      ...unfitLines(wave, zone).flatMap((line) => indented(line, 4).map(paint.yellow)),
    ]),
    ...[...leftOutLines(without), ...locked.map(lockedLine)].flatMap((line) => indented(line, 2).map(paint.yellow)),
  ];
}

/** Lines for what is left out; the rest is counted. */
const LISTED = 8;

function leftOutLines(without: readonly Unforecast[]): string[] {
  const lines = without.slice(0, LISTED).map(({ id, reason }) => `without ${id}: ${reason}`);
  return without.length <= LISTED ? lines : [...lines, `without ${without.length - LISTED} others`];
}

function lockedLine({ rollout, resources, onLocked }: Locked): string {
  const what = `rollout ${rollout} upgrades ${resources} of them now`;
  if (onLocked === 'wait') return `${what}: counted as free when nine of ten such upgrades have ended`;
  return `${what}: counted as free, and ${onLocked === 'skip' ? 'skipped' : 'refused'} if their turn comes before that has ended`;
}

/** `wave canary: starts Sat 2026-08-01 22:00 CEST, ends 23:10 (P50) … 23:40 (P90)` */
function waveLine({ name, starts, ends }: WaveForecast, zone: string): string {
  return starts.p50 === null
    ? `wave ${name}: does not start`
    : `wave ${name}: starts ${localTime(starts.p50, zone)}, ends ${momentsText(ends, zone, starts.p50)}`;
}

/** `Sat 2026-08-01 22:00 CEST, ends 22:45 … 23:05` */
export function upgradeCell({ starts, ends }: UpgradeForecast, zone: string): string {
  if (starts.p50 === null || ends.p50 === null) return 'does not fit';
  const [from, to] = [localTime(starts.p50, zone), shortened(ends.p50, zone, starts.p50)];
  const last = ends.p90 === null ? 'not at all' : shortened(ends.p90, zone, ends.p50);
  return `${from} – ${to} … ${last}`;
}

function unfitLines({ unfit, upgrades }: WaveForecast, zone: string): string[] {
  if (unfit === null) return [];
  const before = unfit.before === null ? '' : ` before ${localTime(unfit.before, zone)}`;
  const some =
    unfit.p50 === 0 ? `up to ${unfit.p90}` : unfit.p50 === unfit.p90 ? unfit.p50 : `${unfit.p50} to ${unfit.p90}`;
  const verb = unfit.p50 === 0 ? 'may not fit' : 'do not fit';
  return [
    `${some} of ${count(upgrades.length, 'upgrade')} ${verb}${before}: ${unfit.reason} (raise the concurrency, lengthen the windows, or give a later \`expireAt\`)`,
  ];
}

/** `23:10 (P50) … 23:40 (P90)`, each with its day where that is another. */
function momentsText({ p50, p90 }: Moments, zone: string, after: string | null = null): string {
  if (p50 === null) return 'never';
  const last = p90 === null ? 'not at all' : shortened(p90, zone, p50);
  return `${after === null ? localTime(p50, zone) : shortened(p50, zone, after)} (P50) … ${last} (P90)`;
}

/** Without its day and its zone where both are those of `beside`. */
function shortened(at: string, zone: string, beside: string): string {
  const [day, date, time, name] = localTime(at, zone).split(' ');
  const [, sameDate, , sameName] = localTime(beside, zone).split(' ');
  return date === sameDate && name === sameName ? (time ?? '') : `${day} ${date} ${time} ${name}`;
}
