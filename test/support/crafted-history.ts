/** Histories that go on otherwise than they were recorded: for what has to meet in one workflow task. */

/** As a server writes it in JSON. */
export interface HistoryEvent {
  readonly eventId: string;
  readonly eventTime: string;
  readonly eventType: string;
  readonly [attributes: string]: unknown;
}

/** The type, as `WORKFLOW_TASK_STARTED`, and its attributes. */
export type Crafted = readonly [type: string, attributes: object];

/** @param after goes on from the last event of `before`: the numbers come from their places */
export function goingOn(
  before: readonly HistoryEvent[],
  after: readonly Crafted[],
): { events: readonly HistoryEvent[] } {
  const { eventId: last, eventTime } = before.at(-1) as HistoryEvent;
  const events = after.map(([type, attributes], index) => {
    const name = type.toLowerCase().replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    const eventId = String(Number(last) + 1 + index);
    return { eventId, eventTime, eventType: `EVENT_TYPE_${type}`, [`${name}EventAttributes`]: attributes };
  });
  return { events: [...before, ...events] };
}
