/**
 * Small pieces of text: measured, cut, counted, timed. Widths are columns of a terminal: a wide character takes two, an
 * escape sequence none.
 */
import stringWidth from 'string-width';

const GRAPHEMES = new Intl.Segmenter();

export function widthOf(text: string): number {
  return stringWidth(text);
}

/** Filled up with spaces; what is wider stays as it is. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const fill = ' '.repeat(Math.max(width - widthOf(text), 0));
  return align === 'left' ? text + fill : fill + text;
}

/** Cut at the end: for prose. One line, whatever came in. */
export function cut(text: string, width: number): string {
  const line = oneLine(text);
  return widthOf(line) <= width ? line : `${beginningOf(line, width - 1).trimEnd()}…`;
}

/** Cut in the middle: for ids, which differ at both ends. */
export function cutId(id: string, width: number): string {
  if (widthOf(id) <= width) return id;
  const tail = Math.floor((width - 1) / 2);
  return `${beginningOf(id, width - 1 - tail)}…${endOf(id, tail)}`;
}

/** As much of its beginning as takes `width`. */
function beginningOf(text: string, width: number): string {
  return fitting(graphemesOf(text), width).join('');
}

function endOf(text: string, width: number): string {
  return fitting(graphemesOf(text).toReversed(), width).toReversed().join('');
}

function graphemesOf(text: string): string[] {
  return Array.from(GRAPHEMES.segment(text), ({ segment }) => segment);
}

function fitting(graphemes: readonly string[], width: number): readonly string[] {
  let taken = 0;
  const tooMuch = graphemes.findIndex((one) => (taken += widthOf(one)) > width);
  return tooMuch < 0 ? graphemes : graphemes.slice(0, tooMuch);
}

export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** Lines of at most `width`, at most `lines` of them; the last one says when there was more. */
export function wrap(text: string, width: number, lines = Infinity): string[] {
  const wrapped: string[] = [];
  let line = '';
  for (let word of oneLine(text).split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      wrapped.push(line);
      line = '';
    }
    while (widthOf(word) > width) {
      // One that is wider than the whole line is there all the same.
      const part = beginningOf(word, width) || (graphemesOf(word)[0] ?? '');
      wrapped.push(part);
      word = word.slice(part.length);
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') wrapped.push(line);
  if (wrapped.length <= lines) return wrapped;
  return [...wrapped.slice(0, lines - 1), cut(`${wrapped[lines - 1] ?? ''} ${wrapped[lines] ?? ''}`, width)];
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** `41 s`, `4 m 12 s`, `2 h 05 m`, `3 d 4 h`. */
export function duration(ms: number): string {
  const seconds = Math.max(Math.round(ms / 1000), 0);
  const two = (n: number) => String(n).padStart(2, '0');
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${two(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `2026-11-21 05:20:19 UTC` from ISO 8601. */
export function moment(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

/** Tables narrower than this have no room for whole moments. */
const WHOLE_MOMENTS = 110;

/**
 * A moment in a table of some width: whole, or as short as tells it beside `now`: `18:08:30Z`, `2026-11-24 18:08Z` on
 * another day.
 */
export function momentIn(width: number, iso: string, now: number): string {
  if (width >= WHOLE_MOMENTS) return moment(iso);
  const [day, time] = [iso.slice(0, 10), iso.slice(11, 19)];
  return day === new Date(now).toISOString().slice(0, 10) ? `${time}Z` : `${day} ${time.slice(0, 5)}Z`;
}

/** A moment to come, and how long that is, as `momentIn`: `18:08:30Z, in 2 m`. */
export function momentAhead(width: number, iso: string, now: number): string {
  const ahead = duration(Date.parse(iso) - now);
  if (width >= WHOLE_MOMENTS) return `${moment(iso)} (in ${ahead})`;
  return `${momentIn(width, iso, now)}, in ${ahead.split(' ', 2).join(' ')}`;
}

/** `2.3.1 → 2.4.1`; `?` where nothing could be read. */
export function fromTo(from: string | null, to: string | null): string {
  return `${from ?? '?'} → ${to ?? '?'}`;
}

/** The same in `width` columns: what it becomes matters more than what it was. */
export function fromToCut(from: string | null, to: string | null, width: number): string {
  const whole = fromTo(from, to);
  if (widthOf(whole) <= width) return whole;
  const end = ` → ${to ?? '?'}`;
  const left = width - widthOf(end);
  return left >= 4 ? cut(from ?? '?', left) + end : cut(whole, width);
}

/** A share as people read it; never 100 % of something that is not whole. */
export function percentOf(part: number, whole: number): string {
  if (whole === 0) return '0 %';
  const exact = (100 * part) / whole;
  return `${part < whole ? Math.min(Math.round(exact), 99) : 100} %`;
}
