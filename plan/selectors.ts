/** Selectors: targets that are chosen from what an account's list calls show, instead of being named by id. */
import { z } from 'zod';
import type { CloudApi, ResourceState } from '../activities/clouds/port.js';
import { compareDotted } from '../activities/clouds/versions.js';
import type { Account } from './accounts.js';
import type { InputProblem } from './errors.js';
import { InputError } from './errors.js';
import type { Place } from './plan.js';

const VERSION_FORM = /^(?:<\d+(?:\.\d+)*|\d+(?:\.\d+)*\.\*)$/;

/** All that is given must fit. */
export const selectorSchema = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .optional()
      .describe('Pattern over the whole name of the resource: * stands for any characters, ? for one.'),
    tags: z
      .record(z.string(), z.string())
      .refine((tags) => Object.keys(tags).length > 0, {
        error: 'is empty',
        params: { remedy: 'give at least one tag' },
      })
      .optional()
      .describe('Tags that it has, each with exactly this value.'),
    currentVersion: z
      .string()
      .regex(VERSION_FORM, 'use "<2.4" (everything below it) or "2.3.*" (2.3 and whatever follows)')
      .optional()
      .describe('Its version as the list shows it: "<2.4" is below 2.4, "2.3.*" is 2.3 and whatever follows.'),
  })
  .refine((selector) => Object.keys(selector).length > 0, {
    error: 'is empty',
    // An unknown key alone is told as what it is.
    when: ({ issues }) => issues.length === 0,
    params: { remedy: "say which resources, by name, tags or currentVersion; name: '*' takes all" },
  })
  .meta({ minProperties: 1 })
  .describe('Every resource of this account and service that fits. Read when planned and again when applied.');

export type Selector = z.infer<typeof selectorSchema>;

/** A selector in a plan, not yet resolved. */
export interface PlannedSelector {
  readonly place: Place;
  /** Of its target in `spec.targets`. */
  readonly index: number;
  readonly api: CloudApi;
  readonly account: Account;
  readonly selector: Selector;
}

/** Ids that selectors chose, by their target's index in `spec.targets`. */
export type Choices = ReadonlyMap<number, readonly string[]>;

/** What an account has of a service, or why that could not be read. */
export type Listing =
  | { readonly resources: readonly ResourceState[] }
  | { readonly problem: { readonly message: string; readonly remedy: string } };

/**
 * The ids that each selector chooses, in the order of the resources' names: so they are taken by waves. An account's
 * resources of one service are listed once, however many selectors choose from them.
 *
 * @param mayBeEmpty whether a selector may choose nothing
 * @throws InputError with every selector that chooses nothing, and every list that could not be read.
 */
export async function resolveSelectors(
  selectors: readonly PlannedSelector[],
  list: (api: CloudApi, account: Account) => Promise<Listing>,
  mayBeEmpty = false,
): Promise<Choices> {
  const listings = new Map<string, Promise<Listing>>();
  const listed = await Promise.all(
    selectors.map(async (planned) => {
      const key = `${planned.account.name} ${planned.api.service}`;
      const listing = listings.get(key) ?? list(planned.api, planned.account);
      listings.set(key, listing);
      return [planned, await listing] as const;
    }),
  );

  const problems: InputProblem[] = [];
  const choices = new Map<number, string[]>();
  for (const [planned, listing] of listed) {
    if ('problem' in listing) {
      problems.push({ ...planned.place, ...listing.problem });
      continue;
    }
    const resources = [...new Map(listing.resources.map((resource) => [resource.id, resource])).values()];
    const chosen = resources.filter((resource) => fits(planned.selector, resource));
    if (chosen.length === 0 && !mayBeEmpty) problems.push({ ...planned.place, ...nothingChosen(planned, resources) });
    choices.set(
      planned.index,
      chosen.toSorted(byName).map(({ id }) => id),
    );
  }
  if (problems.length > 0) throw new InputError(problems);
  return choices;
}

/** Whether a selector chooses a resource; what the selector does not ask for fits. */
export function fits(selector: Selector, resource: ResourceState): boolean {
  return Object.values(criteria(selector)).every((holds) => holds(resource));
}

type Criterion = (resource: ResourceState) => boolean;

/** What a selector asks for, in the words of `nothingChosen`. */
function criteria({ name, tags, currentVersion }: Selector): Readonly<Record<string, Criterion>> {
  return {
    ...(name !== undefined && { 'the name': nameFits(name) }),
    ...(tags !== undefined && {
      'the tags': (resource) => Object.entries(tags).every(([key, value]) => tagOf(resource, key) === value),
    }),
    ...(currentVersion !== undefined && { 'the version': versionFits(currentVersion) }),
  };
}

function nameFits(pattern: string): Criterion {
  const source = pattern
    .replaceAll(/\*+/g, '*')
    .replaceAll(/[\\^$.+()[\]{}|]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const whole = new RegExp(`^${source}$`, 'su');
  return ({ name }) => whole.test(name);
}

/** By the first number of the version as people read it: the engine's, at services whose version has parts. */
function versionFits(form: string): Criterion {
  const isBelow = form.startsWith('<');
  const bound = isBelow ? form.slice(1) : form.slice(0, -'.*'.length);
  return ({ version }) => {
    const [number] = /\d+(?:\.\d+)*/.exec(version) ?? [];
    return number !== undefined && compareDotted(number, bound) === (isBelow ? 'below' : 'at');
  };
}

function tagOf({ tags }: ResourceState, key: string): string | undefined {
  return Object.hasOwn(tags, key) ? tags[key] : undefined;
}

function nothingChosen(
  { api, account, selector }: PlannedSelector,
  resources: readonly ResourceState[],
): { message: string; remedy: string } {
  const { service } = api;
  if (resources.length === 0) {
    return {
      message: `chooses nothing: account "${account.name}" has no resource of ${service} in ${account.region}`,
      remedy: 'check the account and its region, or remove the target',
    };
  }
  const counts = Object.entries(criteria(selector)).map(
    ([what, holds]) => `${resources.filter(holds).length} fit ${what}`,
  );
  const hasNoTags = selector.tags !== undefined && resources.every(({ tags }) => Object.keys(tags).length === 0);
  return {
    message: `chooses nothing: of ${resources.length} listed, ${counts.join(', ')}`,
    remedy: hasNoTags
      ? `choose without tags: the list of ${service} shows none`
      : 'widen the selector, or remove the target',
  };
}

/** By code units, so that every machine has the same order; resources of one name by their ids. */
function byName(a: ResourceState, b: ResourceState): number {
  return compare(a.name, b.name) || compare(a.id, b.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
