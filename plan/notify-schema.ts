/** What `spec` may say of notifications. Addresses and secrets stand beside the accounts (`webhooks.ts`). */
import { z } from 'zod';
import { NOTICE_KINDS, type NoticeKind, type NoticeRule } from '../workflows/contracts/notices.js';
import type { InputProblem } from './errors.js';
import { suggest } from './problems.js';
import type { Source } from './source.js';

/** More would be a mailing list. */
const MOST_WEBHOOKS = 5;
const OVERRUN = 'overrun-risk' satisfies NoticeKind;

export const notifyField = z
  .array(
    z.strictObject({
      webhook: z.string().min(1).describe('Name of a webhook in the accounts file.'),
      events: z.array(z.enum(NOTICE_KINDS)).min(1).optional().describe('What it is told; everything when left out.'),
    }),
  )
  .min(1)
  .max(MOST_WEBHOOKS)
  .optional()
  .describe('Who is told what happens to the rollout.');

export const overrunField = z
  .enum(['finish', 'notify'])
  .optional()
  .describe(
    'Upgrades that are in flight when their opening ends are always followed to their end. notify tells people when it comes to that, finish does not. Default: notify, where `notify` names somebody.',
  );

interface NotifySpec {
  readonly notify?: z.infer<typeof notifyField>;
  readonly overrun?: z.infer<typeof overrunField>;
}

/**
 * The rules, with every webhook that is not there or named twice as a problem, and an `overrun` that they contradict.
 *
 * @param known names that there are; `undefined` where the accounts file was not read for them
 */
export function resolveNotify(
  source: Source,
  { notify: entries = [], overrun }: NotifySpec,
  known: readonly string[] | undefined,
): { rules: readonly NoticeRule[]; problems: readonly InputProblem[] } {
  const problems: InputProblem[] = [];
  const rules = entries.map(({ webhook, events }, at): NoticeRule => {
    const path = ['spec', 'notify', at, 'webhook'];
    if (known !== undefined && !known.includes(webhook)) {
      const message = `${JSON.stringify(webhook)} is no webhook of the accounts file`;
      problems.push(
        source.problem(path, message, known.length === 0 ? 'name it there, under `webhooks`' : suggest(webhook, known)),
      );
    }
    if (entries.findIndex((one) => one.webhook === webhook) < at) {
      problems.push(source.problem(path, `${JSON.stringify(webhook)} is told twice`, 'join the two'));
    }
    if (overrun === 'finish' && events?.includes(OVERRUN) === true) {
      const message = `wants ${OVERRUN}, and \`overrun: finish\` tells nobody`;
      problems.push(source.problem(['spec', 'notify', at, 'events'], message, 'drop one of the two'));
    }
    const told = overrun === 'finish' ? (events ?? NOTICE_KINDS).filter((kind) => kind !== OVERRUN) : events;
    return { webhook, ...(told === undefined ? {} : { events: [...new Set(told)] }) };
  });
  if (overrun === 'notify' && !rules.some(({ events }) => events?.includes(OVERRUN) ?? true)) {
    const remedy = `add \`notify\`, with ${OVERRUN} among its events where it names some`;
    problems.push(source.problem(['spec', 'overrun'], 'has nobody to tell', remedy));
  }
  return { rules, problems };
}
