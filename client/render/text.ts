/** Small pieces of text: cut, counted, timed. */

/** Cut at the end: for prose. One line, whatever came in. */
export function cut(text: string, width: number): string {
  const line = oneLine(text);
  return line.length <= width ? line : `${line.slice(0, Math.max(width - 1, 0)).trimEnd()}…`;
}

/** Cut in the middle: for ids, which differ at both ends. */
export function cutId(id: string, width: number): string {
  if (id.length <= width) return id;
  const tail = Math.floor((width - 1) / 2);
  return `${id.slice(0, width - 1 - tail)}…${id.slice(id.length - tail)}`;
}

export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** Lines of at most `width`, at most `lines` of them; the last one says when there was more. */
export function wrap(text: string, width: number, lines = Infinity): string[] {
  const wrapped: string[] = [];
  let line = '';
  for (let word of oneLine(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      wrapped.push(line);
      line = '';
    }
    for (; word.length > width; word = word.slice(width)) wrapped.push(word.slice(0, width));
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

/** `2.3.1 → 2.4.1`; `?` where nothing could be read. */
export function fromTo(from: string | null, to: string | null): string {
  return `${from ?? '?'} → ${to ?? '?'}`;
}

/** The same in `width` columns: what it becomes matters more than what it was. */
export function fromToCut(from: string | null, to: string | null, width: number): string {
  const whole = fromTo(from, to);
  if (whole.length <= width) return whole;
  const end = ` → ${to ?? '?'}`;
  return width - end.length >= 4 ? cut(from ?? '?', width - end.length) + end : cut(whole, width);
}

/** A share as people read it; never 100 % of something that is not whole. */
export function percentOf(part: number, whole: number): string {
  if (whole === 0) return '0 %';
  const exact = (100 * part) / whole;
  return `${part < whole ? Math.min(Math.round(exact), 99) : 100} %`;
}
