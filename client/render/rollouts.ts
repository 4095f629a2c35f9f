/** The latest rollouts, as people read them. */
import type { ListedRollout } from '../rollouts.js';
import { endOfId } from '../../workflows/contracts/ids.js';
import type { Paint } from './paint.js';
import { renderTable } from './table.js';
import { momentIn } from './text.js';

const COLUMNS = [
  { head: 'rollout', key: true },
  { head: 'state' },
  { head: 'started' },
  { head: 'ended' },
  { head: 'run' },
] as const;

/** @param now milliseconds since the epoch */
export function renderRollouts(rollouts: readonly ListedRollout[], width: number, now: number, paint: Paint): string {
  const rows = rollouts.map(({ rollout, runId, state, startedAt, endedAt }) => [
    rollout,
    state,
    momentIn(width, startedAt, now),
    endedAt === null ? '' : momentIn(width, endedAt, now),
    endOfId(runId),
  ]);
  return renderTable(COLUMNS, rows, width, paint);
}
