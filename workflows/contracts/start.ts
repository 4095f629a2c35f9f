/** How a rollout is started, whoever starts it. */
import { AFTER_TABLE } from '../details.js';
import { rolloutWorkflowId } from './ids.js';
import { QUEUES } from './queues.js';
import { sizeOf, type RolloutInput } from './rollout.js';
import { ATTRIBUTES } from './search-attributes.js';

/** Its id and what the UI shows of it. No execution time-out: what was submitted is followed to its end. */
export function startOptions(input: RolloutInput) {
  const total = input.waves.reduce((sum, wave) => sum + sizeOf(wave), 0);
  return {
    workflowId: rolloutWorkflowId(input.rollout),
    taskQueue: QUEUES.main,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE' as const,
    staticSummary: `${input.rollout}: ${total} upgrades in ${input.waves.length} waves`.slice(0, 200),
    staticDetails: details(input),
    typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: input.rollout }],
  };
}

/** The start's details, as the UI shows them: Markdown. */
function details({ startedBy, planDigest, budget: { max, mode }, schedule, retryOf, waves }: RolloutInput): string {
  const triggered = schedule?.triggeredBy === undefined ? '' : `, triggered by ${schedule.triggeredBy}`;
  const by =
    retryOf !== undefined
      ? `**${startedBy}**, a retry of ${retryOf.rollout}`
      : schedule === undefined
        ? `**${startedBy}**`
        : `schedule **${schedule.name}** of ${startedBy}${triggered}`;
  const lines = [
    `Started by ${by}, plan ${planDigest.slice(0, 12)}, failure budget ${max} (${mode}).`,
    '',
    '| wave | upgrades | at a time |',
    '|---|---|---|',
    ...waves.slice(0, 100).map((wave) => `| ${wave.name} | ${sizeOf(wave)} | ${wave.concurrency} |`),
  ];
  return `${lines.join('\n')}${AFTER_TABLE}`;
}
