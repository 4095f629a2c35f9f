/** A person's hand on a running rollout. Everything has an actor and a reason, and stands in the history. */

/** What may be asked of a rollout that no worker has to answer: a signal, kept by the server, confirmed by query. */
export interface ControlRequest {
  /** Told again by the status once a worker has heard it. */
  readonly requestId: string;
  /** `pause`: nothing is sent any more, what was sent goes on. `stop`: the same, and the rollout ends then. */
  readonly act: 'pause' | 'resume' | 'stop';
  readonly actor: string;
  readonly reason: string;
  /** ISO 8601: when it was said, by its sender's clock. The rollout cannot tell: it may hear it hours later. */
  readonly at?: string;
}

/** Of every update. */
export interface Timely {
  /** ISO 8601: until when it may be heard. Later it is refused, since its sender no longer counts on it. */
  readonly validUntil?: string;
}

/** An update: a resource, or all of a wave that has not started, is left out. */
export interface SkipRequest extends Timely {
  /** 1-based. */
  readonly wave: number;
  /** The shard and the upgrade; `null` for the whole wave. */
  readonly upgrade: { readonly shard: number; readonly workflowId: string; readonly title: string } | null;
  readonly actor: string;
  readonly reason: string;
}

/** An update: how many may be in flight, from now on. */
export interface ConcurrencyRequest extends Timely {
  /** 1-based; `null`: the running wave and all after it. */
  readonly wave: number | null;
  readonly concurrency: number;
  readonly actor: string;
  readonly reason: string;
}

/** An update: the rest of a wave's soak is not waited for. */
export interface WaiveRequest extends Timely {
  /** 1-based; left out: the soak that runs now. */
  readonly wave?: number;
  readonly actor: string;
  readonly reason: string;
}

/** People by the role that they have: `{ dba: ['alice', 'bob'] }`. */
export type Roles = Readonly<Record<string, readonly string[]>>;

/** `role dba (alice, bob), carol`: people, those of a role together. */
export function peopleLabel(people: readonly string[], roles: Roles = {}): string {
  const inRoles = new Set(Object.values(roles).flat());
  const named = Object.entries(roles)
    .map(([role, members]) => ({ role, members: members.filter((name) => people.includes(name)) }))
    .filter(({ members }) => members.length > 0)
    .map(({ role, members }) => `role ${role} (${members.join(', ')})`);
  return [...named, ...people.filter((name) => !inRoles.has(name))].join(', ');
}

/** Whose approval something needs before it begins. */
export interface Approval {
  /** How many of them. */
  readonly quorum: number;
  /** As the client names them: `UPLIFT_ACTOR`, a CI's user, or user@host; with those whom its roles name. */
  readonly approvers: readonly string[];
  /** Whom the plan's roles named when it was made, of those that this one asks for; left out where it asks for none. */
  readonly roles?: Roles;
  /** So long it is waited for; then the rollout ends. Milliseconds. */
  readonly expiresAfterMs: number;
}

/**
 * Why an approval can never be given, since its starter may not; `null` where enough others may.
 *
 * @param before others who may not either, and with `who` why not: by default, of a retry
 */
export function whyNoQuorum(
  { approvers, quorum }: Approval,
  startedBy: string,
  before: readonly string[] = [],
  who = 'who started what it tries again',
): string | null {
  const others = approvers.filter((name) => name !== startedBy && !before.includes(name)).length;
  if (others >= quorum) return null;
  const barred = before.filter((name) => name !== startedBy && approvers.includes(name));
  const too = barred.length === 0 ? '' : ` any more than ${barred.join(', ')}, ${who}`;
  return `${startedBy} starts it and may not approve it${too}, so ${others} of a quorum of ${quorum} are left`;
}

/** An update: a named person's word on a wave, or on the rollout as a whole. */
export interface DecisionRequest extends Timely {
  readonly decision: 'approve' | 'reject';
  /** 1-based; `null` for the rollout itself; left out: what it waits for now. */
  readonly wave?: number | null;
  /** The plan that was looked at: an approval is for no other. */
  readonly planDigest: string;
  readonly actor: string;
  readonly reason: string;
}

/** An approval that is waited for. */
export interface ApprovalState {
  /** `wave canary` */
  readonly title: string;
  readonly quorum: number;
  /** Who has approved so far. */
  readonly given: readonly string[];
  /** Who else may. */
  readonly may: readonly string[];
  /** As the approval's. */
  readonly roles?: Roles;
  /** ISO 8601, UTC: then the rollout ends. */
  readonly expiresAt: string;
}

/** `1 of 2 given (ben); role dba (alice, bob), carol may` */
export function approvalLabel({ quorum, given, may, roles }: ApprovalState): string {
  const by = given.length === 0 ? '' : ` (${given.join(', ')})`;
  return `${given.length} of ${quorum} given${by}; ${peopleLabel(may, roles)} may`;
}

export interface Decision {
  readonly wave: number | null;
  readonly title: string;
  readonly decision: 'approve' | 'reject';
  readonly actor: string;
  readonly reason: string;
  readonly at: string;
}

/** Something that a person did to a rollout. */
export interface Act {
  readonly requestId: string | null;
  readonly act: ControlRequest['act'] | DecisionRequest['decision'] | 'skip' | 'concurrency' | 'waive';
  /** What it was done to: `wave canary`, `graph-1`, `5 at a time in wave rest`. */
  readonly what: string;
  readonly actor: string;
  readonly reason: string;
  /** ISO 8601, UTC: when the rollout heard it. */
  readonly at: string;
  /** ISO 8601, UTC: when it was said, by its person's clock, where the rollout heard it much later. */
  readonly saidAt?: string;
  /** What followed that its person need not have meant: `this also ends ben's pause: …`. */
  readonly also?: string;
}

/** The rollout's word to a running wave, and the wave's to its shards. */
export interface WaveOrder {
  /** Why nothing is started for now; `null`: things may be. */
  readonly hold?: string | null;
  readonly concurrency?: number;
  /** Why the rest of the wave is left out. */
  readonly skipRest?: string;
  readonly skip?: SkipOrder;
}

export interface SkipOrder {
  readonly shard: number;
  readonly workflowId: string;
  readonly why: string;
}

/** Key of the rollout's memo: its value is why nothing may be sent now. A submit reads it right before its send. */
export const HOLD_MEMO = 'upliftHold';

/** `paused by ana at …: a customer complained`, or `paused by ana at … (heard at …): …`. */
export function wordsOf({
  act,
  actor,
  reason,
  ...times
}: Pick<Act, 'act' | 'actor' | 'reason' | 'at' | 'saidAt'>): string {
  const done = {
    pause: 'paused',
    resume: 'resumed',
    stop: 'stopped',
    skip: 'skipped',
    concurrency: 'set',
    approve: 'approved',
    reject: 'rejected',
    waive: 'waived',
  }[act];
  return `${done} by ${actor} at ${whenLabel(times)}: ${reason}`;
}

/** When an act was said, and when it was heard where that is another time. */
export function whenLabel(
  { at, saidAt }: Pick<Act, 'at' | 'saidAt'>,
  shown: (moment: string) => string = (moment) => moment,
): string {
  return saidAt === undefined ? shown(at) : `${shown(saidAt)} (heard at ${shown(at)})`;
}

/** Between a word and its hearing, no more than this is told apart: clocks differ, and a worker takes its time. */
const HEARD_LATE_MS = 60_000;

/**
 * When it was said, in UTC, where that is much earlier than it was heard; else nothing, as of a clock that is ahead, or a
 * moment without a zone.
 *
 * @param heardAt epoch milliseconds
 */
export function saidBefore(at: string | undefined, heardAt: number): Pick<Act, 'saidAt'> {
  const said = Date.parse(at !== undefined && /T.*(Z|[+-]\d\d:\d\d)$/.test(at) ? at : '');
  return heardAt - said > HEARD_LATE_MS ? { saidAt: new Date(said).toISOString() } : {};
}

/** Of the pauses that hold, so many are named: the text stands in the memo, and with whatever waits. */
const SHOWN_PAUSES = 3;

/** Why nothing is sent: `paused by ana at …: …; paused by ben at …: …`; `null` where nobody has paused it. */
export function holdLabel(pauses: readonly Act[]): string | null {
  return pauses.length === 0 ? null : listed(pauses.map(wordsOf), 'more pauses');
}

/** What a resume ends of others: `this also ends ben's pause: …`; `null` where all pauses are its person's own. */
export function endedPausesLabel(pauses: readonly Act[], actor: string): string | null {
  const others = pauses.filter((one) => one.actor !== actor);
  if (others.length === 0) return null;
  const ends = others.length === pauses.length ? 'this ends' : 'this also ends';
  return `${ends} ${listed(
    others.map((one) => `${one.actor}'s pause: ${one.reason}`),
    'more',
  )}`;
}

function listed(words: readonly string[], rest: string): string {
  const more = words.length - SHOWN_PAUSES;
  return [...words.slice(0, SHOWN_PAUSES), ...(more > 0 ? [`${more} ${rest}`] : [])].join('; ');
}

/** Characters of a name or a reason: a rollout tells a hundred of them in one answer, and the server takes 2 MB of it. */
export const LONGEST_WORDS = 300;
/** Characters of a workflow id: the server takes no longer one. */
const LONGEST_ID = 1_000;

/**
 * What a person says, for others' terminals: one line, in which tabs and line breaks are spaces, without control characters (C0,
 * DEL, C1), which a terminal would obey.
 */
export function plainWords(words: string): string {
  return words
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\p{Cc}/gu, '')
    .trim();
}

/** Of words that cannot be refused any more, since a signal holds whatever they are: plain, and never empty. */
export function heardWords(words: unknown): string {
  return (typeof words === 'string' && plainWords(words)) || '…';
}

/** Why nobody can stand for an act by this name and reason; `null` where somebody does. */
export function whyUnsigned({ actor, reason }: Pick<Act, 'actor' | 'reason'>): string | null {
  if (!isWord(actor) || !isWord(reason)) return 'it has an actor and a reason';
  if (/\p{Cc}/u.test(`${actor}${reason}`)) return 'its actor and its reason have no control characters';
  if (actor.length > LONGEST_WORDS) return `its actor has a name of at most ${LONGEST_WORDS} characters`;
  return reason.length > LONGEST_WORDS ? `its reason has at most ${LONGEST_WORDS} characters: say it shorter` : null;
}

/** Why a skip does not name the upgrade that it leaves out; `null` where it does, or means the whole wave. */
export function whyNameless({ upgrade }: Pick<SkipRequest, 'upgrade'>): string | null {
  if (upgrade === null) return null;
  const { shard, workflowId, title } = (upgrade ?? {}) as Readonly<Record<string, unknown>>;
  if (!Number.isInteger(shard) || !isWord(workflowId) || !isWord(title)) {
    return "it names an upgrade by its shard's number, its workflow id and a title";
  }
  if (workflowId.length > LONGEST_ID) return `its workflow id has at most ${LONGEST_ID} characters`;
  return title.length > LONGEST_WORDS ? `its title has at most ${LONGEST_WORDS} characters` : null;
}

/**
 * The request in a signal's argument; `null` where there is none: anybody may send anything, and what it is not changes
 * nothing. Words are made plain, and those that are too long are cut, since nobody can be told that a stop was refused for
 * them.
 */
export function controlRequestIn(argument: unknown): ControlRequest | null {
  if (typeof argument !== 'object' || argument === null) return null;
  const { requestId, act, actor, reason, at } = argument as Readonly<Record<string, unknown>>;
  if (!isWord(requestId) || !isWord(actor) || !isWord(reason)) return null;
  if (act !== 'pause' && act !== 'resume' && act !== 'stop') return null;
  return {
    requestId: cut(requestId),
    act,
    actor: cut(heardWords(actor)),
    reason: cut(heardWords(reason)),
    ...(isWord(at) ? { at } : {}),
  };
}

function isWord(word: unknown): word is string {
  return typeof word === 'string' && word !== '';
}

function cut(words: string): string {
  return words.length <= LONGEST_WORDS ? words : `${words.slice(0, LONGEST_WORDS - 1)}…`;
}
