/** What `spec` may say of notifications. Addresses and secrets stand beside the accounts (`webhooks.ts`). */
import { z } from 'zod';
import { NOTICE_KINDS, type NoticeRule } from '../workflows/contracts/notices.js';
import type { InputProblem } from './errors.js';
import { suggest } from './problems.js';
import type { Source } from './source.js';

/** More would be a mailing list. */
const MOST_WEBHOOKS = 5;

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

/**
 * The rules, with every webhook that is not there or named twice as a problem.
 *
 * @param known names that there are; `undefined` where the accounts file was not read for them
 */
export function resolveNotify(
  source: Source,
  entries: z.infer<typeof notifyField>,
  known: readonly string[] | undefined,
): { rules: readonly NoticeRule[]; problems: readonly InputProblem[] } {
  const problems: InputProblem[] = [];
  const rules = (entries ?? []).map(({ webhook, events }, at): NoticeRule => {
    const path = ['spec', 'notify', at, 'webhook'];
    if (known !== undefined && !known.includes(webhook)) {
      const message = `${JSON.stringify(webhook)} is no webhook of the accounts file`;
      problems.push(
        source.problem(path, message, known.length === 0 ? 'name it there, under `webhooks`' : suggest(webhook, known)),
      );
    }
    if ((entries ?? []).findIndex((one) => one.webhook === webhook) < at) {
      problems.push(source.problem(path, `${JSON.stringify(webhook)} is told twice`, 'join the two'));
    }
    return { webhook, ...(events === undefined ? {} : { events: [...new Set(events)] }) };
  });
  return { rules, problems };
}
