/**
 * Tells people what happens to a rollout, where its plan says so. Each notice is a child that outlives the rollout, so
 * nothing waits for a receiver. Their number is bounded: failures are gathered, and so many openings are told of.
 */
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  ParentClosePolicy,
  patched,
  sleep,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { noticeId, noticeWorkflowId } from './contracts/ids.js';
import { OVERRUN_RISK_MS, type NextOpening, type Notice, type NoticeKind } from './contracts/notices.js';
import { countOf } from './contracts/outcome.js';
import { sizeOf, type RolloutResult } from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import { FAILED_OUTCOMES, type Outcome } from './contracts/upgrade.js';
import { rootReason } from './failures.js';
import type { notice as noticeWorkflow } from './notice.js';
import { growing, pauseAt, type Growing } from './pauses.js';
import type { RolloutState } from './rollout-state.js';
import { nextOpening } from './steps.js';

/** What comes between two notices of failures is told by the second one. Milliseconds at scale 1. */
const GATHERED_MS: Growing = { first: 5 * 60_000, longest: 6 * 3_600_000 };
/** For what shards say of an edge to arrive. Milliseconds at scale 1. */
const HEARD_MS = 30_000;
const AHEAD = [
  ['in-24h', 24 * 3_600_000, '24 hours'],
  ['in-1h', 3_600_000, 'an hour'],
] as const;
/** A schedule's rollout begins as long ahead as its lead says, and after it was planned: then it is told late. Scale 1. */
const LATE_MS = 15 * 60_000;
/** About 70 events for each of them. */
const MOST_OPENINGS = 20;
/** Of what is gathered: some 14 events for each. Of another kind there are as many as waves or openings. */
const MOST_GATHERED = 30;
const MOST_OF_A_KIND = 100;
/** Rollouts of older releases told of more. */
const MOST_OPENINGS_ONCE = 100;

export class Notices {
  private readonly state: RolloutState;
  private readonly changed: () => void;
  /** Of each kind, also those that were not sent. */
  private readonly numbers = new Map<NoticeKind, number>();
  /** How many openings were told of, once no further one is. */
  private openings: number | null = null;
  private readonly failed: Gathered;
  private readonly stuck: Gathered;

  /** @param changed something about notices is to be shown */
  constructor(state: RolloutState, changed: () => void) {
    this.state = state;
    this.changed = changed;
    const { scale } = state.input.timing;
    this.failed = new Gathered(scale, (news, all) => {
      const { max } = state.input.budget;
      const latest = state.lastFailure === null ? '' : `; the latest: ${state.lastFailure}`;
      return this.tell('failed', `${news} failed, ${all} in all, ${max} tolerated${latest}`);
    });
    this.stuck = new Gathered(scale, (news, all) => {
      const latest = this.latestStuck === null ? '' : `; the latest: ${this.latestStuck}`;
      return this.tell(
        'stuck',
        `no news for long of ${news}, ${all} in all${latest}: they are followed on, look at them`,
      );
    });
  }

  get isWanted(): boolean {
    return (this.state.input.notify ?? []).length > 0;
  }

  /** Who is to be told is told by a child; a failure to do so is kept in the state, and is nobody's hold-up. */
  async tell(kind: NoticeKind, words: string): Promise<void> {
    const { rollout, schedule, notify = [], timing } = this.state.input;
    const to = notify.filter(({ events }) => events?.includes(kind) ?? true).map(({ webhook }) => webhook);
    const number = (this.numbers.get(kind) ?? 0) + 1;
    if (to.length === 0) return;
    this.numbers.set(kind, number);
    const most = mostOf(kind);
    if (number > MOST_OF_A_KIND || (number > most && patched('fewer-notices'))) return;
    const isLast = number === most;
    const text = isLast ? `${words}; it is notice ${number} of this kind, and no further one is sent` : words;
    const id = noticeId(rollout, this.state.key, kind, number);
    const at = new Date().toISOString();
    const notice: Notice = { id, kind, rollout, schedule: schedule?.name ?? null, at, text };
    await CancellationScope.nonCancellable(async () => {
      try {
        const child = await startChild<typeof noticeWorkflow>('notice', {
          workflowId: noticeWorkflowId(id),
          // A rollout that was reset comes here again, and nobody is told twice.
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
          args: [{ notice, to, timing }],
          parentClosePolicy: ParentClosePolicy.ABANDON,
          cancellationType: ChildWorkflowCancellationType.ABANDON,
          staticSummary: `${kind}: ${text}`.slice(0, 100),
          typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: rollout }],
        });
        child.result().catch((error: unknown) => this.missed(kind, error));
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) this.missed(kind, error);
      }
    });
  }

  /** Failures and stuck ones as the shards have told them by now. */
  heard(): void {
    if (!this.isWanted) return;
    const { state } = this;
    this.failed.count(Math.max(state.failures, countOf(state.counts, FAILED_OUTCOMES)));
    const shards = state.waves.flatMap(({ shards: all }) => [...all.values()]);
    this.stuck.count(shards.reduce((sum, { stuck }) => sum + (stuck?.count ?? 0), 0));
  }

  /** The last one. */
  async done({ outcome, reason, counts }: RolloutResult): Promise<void> {
    if (!this.isWanted) return;
    const ends = (Object.entries(counts) as [Outcome, number][]).map(([name, count]) => `${count} ${name}`);
    await this.tell('done', [`${outcome}: ${reason} (${ends.join(', ')})`, ...this.unsent()].join('; '));
  }

  /** Tells of each opening: ahead of it, at its edges, and what it left. */
  watchWindows(): void {
    if (!this.isWanted || this.state.input.windows === undefined) return;
    // Nothing depends on it: it ends with the rollout.
    void this.followOpenings().catch(() => undefined);
  }

  /** What was not told, since there was too much of it. */
  private unsent(): string[] {
    const over = [...this.numbers].filter(([kind, number]) => number > mostOf(kind));
    const kinds = over.map(([kind, number]) => `${number - mostOf(kind)} ${kind}`);
    return [
      ...(kinds.length === 0 ? [] : [`notices that were not sent: ${kinds.join(', ')}`]),
      ...(this.openings === null ? [] : [`openings after the first ${this.openings} were not told of`]),
    ];
  }

  private async followOpenings(): Promise<void> {
    const { rollout } = this.state.input;
    let at = Date.now();
    let openings = 0;
    for (; openings < MOST_OPENINGS_ONCE; openings += 1) {
      if (openings >= MOST_OPENINGS && patched('fewer-openings')) break;
      const asked = { rollout, rolloutRun: this.state.runId, at: new Date(at).toISOString() };
      const opening = await nextOpening(asked);
      if (opening === null) return;
      await this.follow(opening, openings + 1 === MOST_OPENINGS);
      if (opening.closes === null) return;
      // An edge belongs to what follows it.
      at = Math.max(Date.parse(opening.closes), Date.now());
    }
    this.openings = openings;
  }

  private async follow({ opens, closes, windows, riskMs }: NextOpening, isLast: boolean): Promise<void> {
    const { scale } = this.state.input.timing;
    const name = `window ${windows.join(', ')}`;
    for (const [kind, atScaleOneMs, words] of AHEAD) {
      const ahead = Date.parse(opens) - atScaleOneMs * scale;
      if (ahead > Date.now() - LATE_MS * scale)
        await this.at(ahead, kind, () => `opens in about ${words}, at ${opens}: ${name}, ${this.left()}`);
    }
    if (closes === null) {
      await this.at(Date.parse(opens), 'opened', () => `${name} is open, without an end: ${this.left()}`);
      return;
    }
    const end = Date.parse(closes);
    const last = isLast ? `; it is opening ${MOST_OPENINGS}, and no further one is told of` : '';
    await this.at(Date.parse(opens), 'opened', () => `${name} is open until ${closes}: ${this.left()}${last}`);
    const heard = pauseAt(scale, HEARD_MS);
    const shortly = OVERRUN_RISK_MS * scale;
    // Before the end, however quick they are.
    const risk = riskMs === undefined || !patched('learned-risk') ? shortly : Math.max(riskMs, 4 * heard);
    const latest = Math.min(risk, shortly);
    // What takes longer than that is told of early; if nothing is in flight by then, what has started since is.
    for (const ahead of risk === latest ? [latest] : [risk, latest]) {
      const at = Math.max(end - ahead, Date.parse(opens)) + heard;
      const isTold = await this.at(at, 'overrun-risk', () => {
        const flying = this.inFlight();
        if (flying === 0) return null;
        const others = ahead > shortly ? ', and what starts from now on,' : '';
        const known = ahead > shortly ? `: nine of ten take up to ${Math.ceil(ahead / 60_000)} min` : '';
        return `${flying} in flight${others} may outlast ${name}, which closes at ${closes}${known}`;
      });
      if (isTold) break;
    }
    await this.at(end + heard, 'closed', () => {
      const flying = this.inFlight();
      const goesOn = flying === 0 ? '' : `, ${flying} still in flight are followed to their end`;
      return `${name} has closed: ${this.left()}${goesOn}`;
    });
  }

  /** One that is late is told late, unless nothing of the rollout is left to be told of. `null`: nothing to tell. */
  private async at(instant: number, kind: NoticeKind, text: () => string | null): Promise<boolean> {
    const wait = instant - Date.now();
    if (wait > 0) await sleep(wait, { summary: `Notice ${kind}` });
    const words = text();
    if (this.state.isOver || this.state.result !== null || words === null) return false;
    await this.tell(kind, words);
    return true;
  }

  private left(): string {
    const total = this.state.waves.reduce((sum, { plan }) => sum + sizeOf(plan), 0);
    const ended = countOf(this.state.counts);
    return `${total - ended} of ${total} left`;
  }

  /** By the shards' last words. */
  private inFlight(): number {
    return this.state.waves
      .filter(({ state }) => state === 'Running')
      .flatMap(({ shards }) => [...shards.values()])
      .reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  private get latestStuck(): string | null {
    const told = this.state.waves.flatMap(({ shards }) => [...shards.values()]).flatMap(({ stuck }) => stuck ?? []);
    return told.at(-1)?.latest ?? null;
  }

  private missed(kind: NoticeKind, error: unknown): void {
    this.state.undelivered = `${kind}: ${rootReason(error)}`;
    this.changed();
  }
}

function mostOf(kind: NoticeKind): number {
  return kind === 'failed' || kind === 'stuck' ? MOST_GATHERED : MOST_OF_A_KIND;
}

/** A number that grows: told at once, and then what has come since, less and less often. */
class Gathered {
  private readonly scale: number;
  private readonly tell: (news: number, all: number) => Promise<void>;
  private known = 0;
  private told = 0;
  private isTelling = false;

  constructor(scale: number, tell: (news: number, all: number) => Promise<void>) {
    this.scale = scale;
    this.tell = tell;
  }

  count(all: number): void {
    this.known = Math.max(this.known, all);
    if (this.known === this.told || this.isTelling) return;
    this.isTelling = true;
    // It ends with the rollout, whose last notice has all of it.
    void this.tellAll().catch(() => undefined);
  }

  private async tellAll(): Promise<void> {
    for (let look = 0; this.known > this.told; look += 1) {
      const news = this.known - this.told;
      this.told = this.known;
      await this.tell(news, this.told);
      await sleep(pauseAt(this.scale, growing(GATHERED_MS, look)), { summary: 'Gather failures' });
    }
    this.isTelling = false;
  }
}
