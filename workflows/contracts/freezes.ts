/** Freezes: nothing is sent to what they cover, until they end or are lifted. A section of the ledger. */
import { heardWords } from './control.js';
import type { Applied, EntryHead, Section } from './ledger.js';
import type { ResourceRef } from './upgrade.js';

/** What a freeze can be told by. `service` names an API (`ges-v1`) or its family (`ges`); `tag` is `name=value`. */
export const COVER_KEYS = ['cloud', 'account', 'service', 'region', 'tag', 'rollout', 'resource'] as const;
export type CoverKey = (typeof COVER_KEYS)[number];

/** All keys that are given must fit, each by any of its values; without any it is everything. */
export type Cover = Readonly<Partial<Record<CoverKey, readonly string[]>>>;

export interface Freeze {
  /** `freeze-` and eight hexadecimal digits. */
  readonly id: string;
  /** What is frozen: any of these. */
  readonly scope: readonly Cover[];
  /** What is not, although `scope` covers it: any of these. */
  readonly except: readonly Cover[];
  /** ISO 8601, UTC: the first instant at which it holds no more. */
  readonly until: string;
  readonly reason: string;
  /** Who created it. */
  readonly owner: string;
  /** ISO 8601, UTC. */
  readonly since: string;
  readonly lifted?: { readonly by: string; readonly reason: string; readonly at: string };
}

/** Also those that have ended, for reports. */
export type Freezes = readonly Freeze[];

export type FreezeChange =
  | { readonly kind: 'create'; readonly freeze: Omit<Freeze, 'since' | 'lifted'> }
  | { readonly kind: 'lift'; readonly id: string; readonly by: string; readonly reason: string };

/** So many may hold at a time: with the ones that are kept after their end they stay far below a payload's bound. */
const MOST_FREEZES = 100;
/** So many that have ended are kept, for so long. */
const ENDED_KEPT = 300;
const ENDED_KEPT_MS = 90 * 86_400_000;

export const freezes: Section<Freezes, FreezeChange> = {
  empty: [],
  apply: (state, change, entry) => {
    switch (change.kind) {
      case 'create':
        return created(state, change.freeze, entry);
      case 'lift':
        return lifted(state, change, entry);
      default:
        throw new Error(`freezes know no change ${JSON.stringify((change as { kind: unknown }).kind)}: update Uplift`);
    }
  },
  prune: (state, now) => {
    const ended = state.filter((one) => !isActive(one, now) && endOf(one) > now - ENDED_KEPT_MS).slice(-ENDED_KEPT);
    return state.filter((one) => isActive(one, now) || ended.includes(one));
  },
  table: (state) => ({
    head: ['freeze', 'scope', 'until', 'by', 'reason', 'lifted'],
    rows: state
      .slice(-50)
      .map((one) => [
        one.id,
        coverLabel(one.scope),
        one.until,
        one.owner,
        one.reason,
        one.lifted === undefined ? '' : `${one.lifted.at} by ${one.lifted.by}: ${one.lifted.reason}`,
      ]),
  }),
};

function created(state: Freezes, freeze: Omit<Freeze, 'since' | 'lifted'>, { at }: EntryHead): Applied<Freezes> {
  if (state.some(({ id }) => id === freeze.id)) return { refused: `there is a freeze ${freeze.id} already` };
  const holding = state.filter((one) => isActive(one, Date.parse(at))).length;
  if (holding >= MOST_FREEZES) return { refused: `${holding} freezes hold already: lift some, or let one cover more` };
  const { owner, reason } = freeze;
  return { state: [...state, { ...freeze, owner: heardWords(owner), reason: heardWords(reason), since: at }] };
}

/** Lifting early takes a second person. */
function lifted(state: Freezes, change: Extract<FreezeChange, { kind: 'lift' }>, { at }: EntryHead): Applied<Freezes> {
  const { id } = change;
  const by = heardWords(change.by);
  const reason = heardWords(change.reason);
  const freeze = state.find((one) => one.id === id);
  if (freeze === undefined) return { refused: `there is no freeze ${id}` };
  if (freeze.lifted !== undefined) return { refused: `${id} was lifted by ${freeze.lifted.by} at ${freeze.lifted.at}` };
  if (Date.parse(at) >= Date.parse(freeze.until)) return { refused: `${id} ended at ${freeze.until}` };
  if (freeze.owner === by) return { refused: `${by} created ${id}: a second person has to lift it early` };
  return { state: state.map((one) => (one === freeze ? { ...one, lifted: { by, reason, at } } : one)) };
}

/** @param now epoch milliseconds */
export function isActive({ lifted: done, until }: Freeze, now: number): boolean {
  return done === undefined && now < Date.parse(until);
}

/** Epoch milliseconds. */
export function endOf({ lifted: done, until }: Freeze): number {
  return Date.parse(done?.at ?? until);
}

/** What may be frozen, as far as it is known. */
export interface Coverable {
  readonly resource: ResourceRef;
  /** The rollout's id. */
  readonly rollout: string;
  readonly tags: Readonly<Record<string, string | null>>;
}

export function covers({ scope, except }: Pick<Freeze, 'scope' | 'except'>, what: Coverable): boolean {
  return scope.some((cover) => fits(cover, what)) && !except.some((cover) => fits(cover, what));
}

/** Of these the one that covers it and lasts longest; `null` when none does. */
export function freezeOf(freezes: readonly Freeze[], what: Coverable): Freeze | null {
  return freezes.filter((freeze) => covers(freeze, what)).toSorted((a, b) => (a.until < b.until ? 1 : -1))[0] ?? null;
}

function fits(cover: Cover, { resource, rollout, tags }: Coverable): boolean {
  const own: Readonly<Record<CoverKey, readonly string[]>> = {
    cloud: [resource.cloud],
    account: [resource.account],
    service: [resource.service, resource.family],
    region: [resource.region],
    tag: Object.entries(tags).map(([name, value]) => `${name}=${value ?? ''}`),
    rollout: [rollout],
    resource: [resource.id],
  };
  return COVER_KEYS.every((key) => cover[key] === undefined || cover[key].some((value) => own[key].includes(value)));
}

/** `account=prod, service=dcs or ges; region=eu-west-101`: alternatives are told apart by a semicolon. */
export function coverLabel(covered: readonly Cover[]): string {
  const label = (cover: Cover) =>
    COVER_KEYS.flatMap((key) => (cover[key] === undefined ? [] : [`${key}=${cover[key].join(' or ')}`])).join(', ');
  return covered.map((cover) => label(cover) || 'everything').join('; ');
}

/** `frozen until 2026-12-24T00:00:00.000Z by ana because year end (freeze-1a2b3c4d)` */
export function freezeLabel({ id, until, owner, reason }: Freeze): string {
  return `frozen until ${until} by ${owner} because ${reason} (${id})`;
}
