/** The promises, held against what really happened: pure, so that every breach can be shown to be found. */
import {
  isRunning,
  versionsAt,
  type SimulatedOperation,
  type SimulatedResource,
  type Stage,
} from '../simulator/model.js';
import { duplicates, type Truth } from '../simulator/truth.js';
import type { Outcome } from '../workflows/contracts/upgrade.js';

/** What is really so of one resource at the end, whatever anybody believes. */
export interface Reality {
  /** Every component has exactly the version that was planned. */
  readonly isAtTarget: boolean;
  /** Where its last upgrade stands; `null` when nobody upgraded it. */
  readonly stage: Stage | null;
  /** Submits of ours that the cloud took in. */
  readonly accepted: number;
  /** Upgrades that somebody else began. */
  readonly elsewhere: number;
  /** Its dry run finds something. */
  readonly failsPrecheck: boolean;
}

/** How its upgrade was reported. */
export interface Reported {
  readonly outcome: Outcome | null;
  readonly reason: string;
  /** Workflow runs that there were for it. */
  readonly runs: number;
}

export function realityOf(
  resource: SimulatedResource,
  to: Readonly<Record<string, string>>,
  operations: readonly { readonly operation: SimulatedOperation; readonly stage: Stage }[],
  now: number,
): Reality {
  const all = operations.map(({ operation }) => operation);
  const versions = versionsAt(resource, all, now);
  return {
    isAtTarget: Object.entries(to).every(([part, version]) => versions[part] === version),
    stage: operations.at(-1)?.stage ?? null,
    accepted: all.filter(({ account }) => account !== null).length,
    elsewhere: all.filter(({ account }) => account === null).length,
    failsPrecheck: resource.fate === 'precheck-fails',
  };
}

/** What is wrong about a report, as the end of a sentence; `null` when it is true. */
export function objectionTo(is: Reality, said: Reported): string | null {
  if (said.outcome === null) return 'has no end';
  if (said.runs > 1) return `was upgraded by ${said.runs} workflows`;
  if (is.stage !== null && isRunning(is.stage)) return `is reported ${said.outcome} while its upgrade runs`;
  const isWell = is.isAtTarget && is.stage !== 'broken';
  const state = `${is.isAtTarget ? 'at' : 'not at'} its target${is.stage === null ? ', upgraded by nobody' : `, ${is.stage}`}`;
  const wrong = `is reported ${said.outcome} and is ${state}`;
  switch (said.outcome) {
    case 'Succeeded':
      return isWell && is.accepted + is.elsewhere > 0 ? null : wrong;
    case 'Adopted':
      return isWell && is.elsewhere > 0 ? null : `${wrong}, begun elsewhere ${is.elsewhere} times`;
    case 'AlreadyAtTarget':
      return isWell && is.accepted === 0 ? null : `${wrong}, with ${is.accepted} accepted submits`;
    case 'RolledBack':
      return !isWell && (is.stage === 'rolled-back' || is.stage === 'succeeded-in-name-only') ? null : wrong;
    case 'Failed':
      return !isWell && is.stage !== null ? null : wrong;
    case 'Refused':
      return !isWell && is.accepted === 0 && (is.failsPrecheck || is.elsewhere > 0)
        ? null
        : `${wrong}, with ${is.accepted} accepted submits (${said.reason})`;
    case 'Held':
    case 'Skipped':
    case 'NotStarted':
      return `${wrong}: nothing here leaves it so (${said.reason})`;
  }
}

/** The most calls, and the most submits among them, that an account may make within a second. */
export interface Allowed {
  readonly calls: number;
  readonly submits: number;
}

/** What the clouds hold against us, one line each. */
export function offencesIn(
  truth: Truth,
  realities: ReadonlyMap<string, Reality>,
  allowed: Allowed,
): { readonly duplicates: string[]; readonly protocol: string[]; readonly rates: string[] } {
  return {
    duplicates: duplicates(truth).map((id) => `${id} took in ${truth.perResource[id]?.accepted} submits`),
    protocol: [
      ...truth.violations
        // That somebody at the console was faster is no offence of ours.
        .filter(({ kind, detail }) => kind !== 'submit-while-running' || realities.get(detail)?.elsewhere === 0)
        .map(({ kind, detail }) => `violation of protocol: ${kind} ${detail}`),
      ...Object.keys(truth.unknownPaths).map((path) => `unknown path: ${path}`),
    ],
    rates: [
      ...over(truth.callsPerSecondPeak, allowed.calls, 'calls'),
      ...over(truth.submitsPerSecondPeak, allowed.submits, 'submits'),
    ],
  };
}

function over(peaks: Readonly<Record<string, number>>, allowed: number, what: string): string[] {
  return Object.entries(peaks)
    .filter(([, peak]) => peak > allowed)
    .map(([account, peak]) => `${account}: ${peak} ${what} within a second, ${allowed} allowed`);
}
