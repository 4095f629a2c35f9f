/** A run's result as one table, with what was broken below it. */
import { plain } from '../client/render/paint.js';
import { renderTable } from '../client/render/table.js';
import { killsIn } from './strikes.js';
import type { Breaches, ChaosResult } from './run.js';

const PROMISES: Readonly<Record<keyof Breaches, string>> = {
  lost: 'lost',
  duplicates: 'resources with a duplicate accepted submit',
  wrongReports: 'reported better or worse than they are',
  protocol: 'violations of protocol',
  rates: 'accounts over their rate',
  secrets: 'secrets on disk',
  replay: 'histories that do not replay',
};

/** How many promises were broken, of all kinds. */
export function breachesIn({ breaches }: ChaosResult): number {
  return Object.values(breaches).reduce((sum, lines) => sum + lines.length, 0);
}

/** The table, and a line for every breach. */
export function resultTable(result: ChaosResult): string {
  const { submits, callsPeak, submitsPeak, search, breaches } = result;
  const rows: (readonly [string, string, number | string])[] = [
    ...counted('fault that fired', result.faults),
    ['fault that fired', 'all', sum(result.faults)],
    ...counted('strike', result.struck),
    ['strike', 'processes killed', killsIn(result.struck)],
    ...counted('outcome', result.outcomes),
    ['outcome', 'all', `${sum(result.outcomes)} of ${result.upgrades}`],
    ['submits', 'accepted', submits.accepted],
    ['submits', 'accepted, and the answer lost', submits.answersLost],
    ['submits', 'refused', submits.refused],
    ['calls', 'all', result.calls],
    ['calls', 'most of an account in a second', `${callsPeak.seen} of ${callsPeak.allowed}`],
    ['calls', 'most submits of an account in a second', `${submitsPeak.seen} of ${submitsPeak.allowed}`],
    ['clouds', 'longest stall, ms', result.longestStallMs],
    ['searched for secrets', `${search.files} files, KiB`, Math.round(search.bytes / 1024)],
    ['histories', 'replayed', result.replayed],
    ['time', 'seconds', result.seconds],
    ...Object.entries(PROMISES).map(([kind, name]) => {
      return ['BREACHES', name, breaches[kind as keyof Breaches].length] as const;
    }),
  ];
  const table = renderTable(
    [{ head: 'what' }, { head: 'kind' }, { head: 'count', align: 'right' }],
    rows.map(([what, kind, count], at) => [rows[at - 1]?.[0] === what ? '' : what, kind, String(count)]),
    Infinity,
    plain,
  );
  const lines = (Object.values(breaches) as string[][]).flat();
  return [table, ...lines.map((line) => `BREACH: ${line}`)].join('\n');
}

function counted(what: string, counts: Readonly<Record<string, number>>): (readonly [string, string, number])[] {
  return Object.entries(counts)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, count]) => [what, kind, count]);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}
