/** What the parts of an HTML report share. */
import type { Outcome } from '../../workflows/contracts/upgrade.js';
import { isFailed, isGood } from '../views.js';
import { oneLine } from './text.js';

/** A cloud's text can hold anything: it renders as text only. */
export function text(raw: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return oneLine(raw).replaceAll(/[&<>"]/g, (sign) => entities[sign] ?? sign);
}

export function outcomeClass(outcome: Outcome | null): string {
  if (outcome === null) return 'open';
  if (isGood(outcome)) return 'good';
  return isFailed(outcome) ? 'bad' : 'mixed';
}
