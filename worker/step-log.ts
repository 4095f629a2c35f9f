/** One line for every step that ended, and its upgrade, account and attempt on every line that is written in between. */
import type { Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';
import type { StepInput, SubmitResult } from '../workflows/contracts/steps.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';

/** As pino's `info`. */
export type StepLog = (about: Readonly<Record<string, unknown>>, message: string) => void;

export function stepInterceptors(log: StepLog = () => {}): (context: Context) => ActivityInterceptors {
  return ({ info: { attempt, activityType } }) => {
    let about: Readonly<Record<string, unknown>> = { attempt };
    return {
      inbound: {
        async execute(input, next) {
          const [step] = input.args;
          if (isStep(step)) {
            const { resource } = step.spec;
            about = { rollout: step.rollout, upgrade: upgradeWorkflowId(resource), account: resource.account, attempt };
          }
          const result = await next(input);
          if (isStep(step)) log({ ...about, ...told(result) }, activityType);
          return result;
        },
      },
      outbound: { getLogAttributes: (input, next) => ({ ...next(input), ...about }) },
    };
  };
}

function isStep(value: unknown): value is StepInput {
  return typeof value === 'object' && value !== null && 'spec' in value && 'rollout' in value;
}

/** What came of it: the verdict in words, and the calls that may have changed something. */
function told(result: unknown): Readonly<Record<string, unknown>> {
  if (typeof result !== 'object' || result === null) return {};
  const { verdict, providerSays, reason, calls } = result as Partial<SubmitResult> & { providerSays?: string };
  const sent = calls?.map(({ method, path, answer, status, requestId }) => ({
    call: `${method} ${path}`,
    answer,
    status,
    requestId,
  }));
  return { verdict: verdict ?? providerSays, reason, ...(sent === undefined || sent.length === 0 ? {} : { sent }) };
}
