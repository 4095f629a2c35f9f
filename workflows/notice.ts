/** One notice, to one or more webhooks. A workflow of its own, so that a receiver that is away holds nobody. */
import { ApplicationFailure } from '@temporalio/workflow';
import { FAILURES } from './contracts/errors.js';
import type { NoticeInput } from './contracts/notices.js';
import { rootReason } from './failures.js';
import { noticeSteps } from './steps.js';

/** @throws ApplicationFailure naming whom it could not tell, and why: red in the UI, and seen by the rollout */
export async function notice({ notice: told, to, timing }: NoticeInput): Promise<void> {
  const steps = noticeSteps(timing.scale, told.text);
  const ends = await Promise.allSettled(to.map((webhook) => steps.deliverNotice({ notice: told, webhook })));
  const reasons = ends.flatMap((end) => (end.status === 'rejected' ? [rootReason(end.reason)] : []));
  if (reasons.length === 0) return;
  throw ApplicationFailure.create({ type: FAILURES.notice, message: reasons.join('; '), nonRetryable: true });
}
