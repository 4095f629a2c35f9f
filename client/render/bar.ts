/** Progress bars whose parts are told apart by their shade alone, so that they read the same without colours. */
import type { Paint } from './paint.js';

export interface BarParts {
  readonly good: number;
  readonly failed: number;
  readonly inFlight: number;
  readonly total: number;
}

/** A wave's bar: `█` at target, `▓` failed, `▒` in flight, `░` to come. Whatever is there at all is seen. */
export function waveBar(parts: BarParts, width: number, paint: Paint): string {
  const cells = apportion([parts.good, parts.failed, parts.inFlight], parts.total, width);
  const [good = 0, failed = 0, inFlight = 0] = cells;
  const rest = width - good - failed - inFlight;
  return [
    paint.green('█'.repeat(good)),
    paint.red('▓'.repeat(failed)),
    paint.cyan('▒'.repeat(inFlight)),
    paint.dim('░'.repeat(rest)),
  ].join('');
}

/** One operation's bar; `percent` 0..100. */
export function percentBar(percent: number, width: number, paint: Paint): string {
  const [done = 0] = apportion([percent], 100, width);
  return paint.cyan('█'.repeat(done)) + paint.dim('░'.repeat(width - done));
}

/** Cells for each part: rounded, at least one for what is there, and full only when nothing is left. */
function apportion(parts: readonly number[], total: number, width: number): number[] {
  if (total <= 0) return parts.map(() => 0);
  const cells = parts.map((part) => (part > 0 ? Math.max(Math.round((part * width) / total), 1) : 0));
  const sum = parts.reduce((all, part) => all + part, 0);
  const most = sum >= total ? width : width - 1;
  const taken = () => cells.reduce((all, cell) => all + cell, 0);
  const widest = () => cells.indexOf(Math.max(...cells));
  while (taken() > most) cells[widest()]! -= 1;
  if (sum >= total) while (taken() < width) cells[widest()]! += 1;
  return cells;
}
