/**
 * Changes of a schedule that lose nobody else's. A change is a whole schedule, made from the one that was read; the token of
 * that reading lets the server drop it where the schedule has changed since, as by a pause. The SDK sends no token.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  isGrpcServiceError,
  type ScheduleClient,
  type ScheduleDescription,
  type ScheduleUpdateOptions,
  ServiceError,
} from '@temporalio/client';
import { scheduleId } from '../workflows/contracts/ids.js';

/** Readings of a schedule that others change all the time. */
const MOST_TRIES = 20;
/** The server takes a change in a moment after it has answered. */
const LOOKS = 50;
const LOOK_EVERY_MS = 100;
/** The latest changes by their ids, in the memo of what the schedule starts: so each finds out whether it was taken. */
const EDITS_MEMO = 'UpliftScheduleEdits';
const EDITS_KEPT = 20;
/** gRPC status code. */
const FAILED_PRECONDITION = 9;

/**
 * @param edit is given the schedule as it is now, again for each try
 * @throws ScheduleNotFoundError; Error when others change it all the time
 */
export async function editSchedule(
  client: Client,
  name: string,
  edit: (previous: ScheduleDescription) => ScheduleUpdateOptions,
): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const id = randomUUID();
    let before: ScheduleDescription['raw'] = {};
    try {
      await withToken(client.schedule, () => before.conflictToken)
        .getHandle(scheduleId(name))
        .update((previous) => {
          before = previous.raw;
          const next = edit(previous);
          const memo = { ...next.action.memo, [EDITS_MEMO]: [...editsOf(previous), id].slice(-EDITS_KEPT) };
          return { ...next, action: { ...next.action, memo } };
        });
    } catch (error) {
      if (isConflict(error)) continue;
      throw error;
    }
    if (await isTaken(client, name, before, id)) return;
  }
  throw new Error(`schedule ${name} is being changed by somebody else (try again)`);
}

/** The same client, whose updates carry a token. */
function withToken(schedules: ScheduleClient, token: () => Uint8Array | null | undefined): ScheduleClient {
  const { workflowService } = schedules;
  const service = Object.create(workflowService, {
    updateSchedule: {
      value: (request: Parameters<typeof workflowService.updateSchedule>[0]) =>
        workflowService.updateSchedule({ ...request, conflictToken: token() ?? null }),
    },
  }) as typeof workflowService;
  return Object.create(schedules, { workflowService: { value: service } }) as ScheduleClient;
}

/** Servers refuse what was overtaken, or drop it in silence: then something else has moved the token. */
async function isTaken(client: Client, name: string, before: ScheduleDescription['raw'], id: string): Promise<boolean> {
  const tokenOf = ({ conflictToken }: ScheduleDescription['raw']) => Buffer.from(conflictToken ?? []).toString('hex');
  for (let look = 0; look < LOOKS; look += 1) {
    const now = await client.schedule.getHandle(scheduleId(name)).describe();
    if (editsOf(now).includes(id)) return true;
    if (tokenOf(now.raw) !== tokenOf(before)) return false;
    await delay(LOOK_EVERY_MS);
  }
  return false;
}

function editsOf({ action: { memo } }: ScheduleDescription): readonly string[] {
  const edits = memo?.[EDITS_MEMO];
  return Array.isArray(edits) ? (edits as string[]) : [];
}

function isConflict(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && Number(cause.code) === FAILED_PRECONDITION;
}
