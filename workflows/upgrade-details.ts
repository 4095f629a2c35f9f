/** An upgrade as its page in the UI shows it. */
import { failureClass } from './contracts/outcome.js';
import type { VerifyResult } from './contracts/steps.js';
import type { Finding, Operation, Outcome, SentCall, UpgradeSpec } from './contracts/upgrade.js';
import { markdown } from './details.js';

export interface UpgradeShown {
  readonly spec: UpgradeSpec;
  /** `null` until it was read. */
  readonly fromVersion: string | null;
  readonly outcome: Outcome;
  readonly verdict: VerifyResult['verdict'] | null;
  readonly operation: Operation | null;
  readonly findings: readonly Finding[];
  /** Those that were to change something. */
  readonly calls: readonly SentCall[];
}

/** @returns Markdown for the UI's current details */
export function upgradeDetails(
  upgrade: UpgradeShown,
  now: { readonly state: string; readonly next: string; readonly why: string },
): string {
  const { resource, targetLabel } = upgrade.spec;
  return markdown({
    ...now,
    state: `**${now.state}** since ${new Date().toISOString()}`,
    more: evidence(upgrade),
    tables: [
      {
        head: ['resource', 'service', 'account', 'region', 'from', 'target'],
        rows: [
          [
            resource.id,
            resource.service,
            resource.account,
            resource.region,
            upgrade.fromVersion ?? 'not read yet',
            targetLabel,
          ],
        ],
      },
      {
        head: ['check', 'status', 'found'],
        rows: upgrade.findings.map(({ check, status, problems }) => [
          check,
          status,
          problems.map(({ type, code }) => `${type} ${code}`).join(', '),
        ]),
      },
    ],
  });
}

export function nameOf({ id }: Operation): string {
  return id === null ? 'the operation' : `operation ${id}`;
}

/** What a person tells the cloud's support: where it failed, the operation, and the latest call that was to change something. */
function evidence({ outcome, verdict, operation, calls }: UpgradeShown): (readonly [label: string, text: string])[] {
  const lines: (readonly [label: string, text: string])[] = [];
  const failedIn = failureClass(outcome, calls.length > 0, verdict);
  if (failedIn !== null) {
    lines.push(['Failed in:', [failedIn, ...(operation === null ? [] : [nameOf(operation)])].join(', ')]);
  }
  const sent = calls.at(-1);
  if (sent !== undefined) {
    const answer = sent.status === null ? 'no answer' : `HTTP ${sent.status}`;
    const requestId = sent.requestId ?? 'not told';
    lines.push(['Sent:', `${sent.method} at ${sent.at}: ${sent.answer}, ${answer}, request id ${requestId}`]);
  }
  return lines;
}
