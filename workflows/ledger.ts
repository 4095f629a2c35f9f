/**
 * One section of what outlives rollouts. It decides nothing: a change holds as soon as the server has its signal, and
 * whoever reads folds it from the history (contracts/ledger.ts). It only keeps that history short.
 */
import { condition, continueAsNew, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import { CHANGES_PER_RUN, fold, type Kept, type LedgerEntry, type LedgerInput } from './contracts/ledger.js';
import { sectionOf } from './contracts/sections.js';
import { markdown } from './details.js';
import { ledgerChangeSignal } from './messages.js';

export async function ledger({ section: name, ...input }: LedgerInput): Promise<void> {
  const section = sectionOf(name);
  let kept: Kept = input;
  let changes = 0;
  const show = () => {
    setCurrentDetails(
      markdown({
        state: `**${name}**`,
        next: 'the next change',
        why: 'the server keeps it, whether or not a worker is up',
        tables: [section.table(kept.state)],
      }),
    );
  };
  setHandler(ledgerChangeSignal, (entry: LedgerEntry) => {
    kept = fold(section, kept, [entry]);
    changes += 1;
    show();
  });
  show();

  await condition(() => changes >= CHANGES_PER_RUN || workflowInfo().continueAsNewSuggested);
  // All signals that the server had are in it: while there are others, it refuses to end the run.
  const { state, handled } = kept;
  await continueAsNew<typeof ledger>({ section: name, state: section.prune(state, Date.now()), handled });
}
