import type { Finding } from '../doctor.js';
import type { Paint } from './paint.js';

/** One line; with its remedy on the next, where there is one. */
export function renderFinding({ level, what, remedy }: Finding, paint: Paint): string {
  const mark = { ok: paint.green('ok     '), warning: paint.yellow('warning'), problem: paint.red('problem') }[level];
  return `${mark}  ${what}${remedy === '' ? '' : `\n         ${paint.dim('→')} ${remedy}`}`;
}
