/** How targets bind each other: groups of which few may be in flight, and targets that wait for others. */
import { SHARD_SIZE } from '../workflows/contracts/rollout.js';
import type { InputProblem } from './errors.js';
import { suggest } from './problems.js';
import type { GroupEntry } from './schema.js';
import { chains } from './shards.js';
import type { Path, Source } from './source.js';
import { candidatesByWord, isEntryName, type WaveCandidate } from './waves.js';

/** What `groups`, `after` and `provides` of an upgrade's spec become. */
export interface Relations {
  readonly groups: Record<string, number>;
  readonly after: string[];
  readonly provides: string[];
}

export interface Related extends WaveCandidate {
  /** Index of its entry in `spec.targets`. */
  readonly entry: number;
  /** What that entry says it comes after. */
  readonly after: readonly string[];
}

/**
 * Relations of every target, with whatever names nothing or goes round in a circle.
 *
 * @param mayBeChosen whether a word that names no target may name one at another time
 */
export function resolveRelations<T extends Related>(
  source: Source,
  groups: readonly GroupEntry[],
  targets: readonly T[],
  mayBeChosen: (word: string) => boolean = (word) => isEntryName(source, word),
): { relations: ReadonlyMap<T, Relations>; problems: InputProblem[] } {
  const problems: InputProblem[] = [];
  const complain = (path: Path, message: string, remedy: string, empty = false) => {
    const problem = source.problem(['spec', ...path], message, remedy);
    problems.push(empty ? { ...problem, fromEmptiness: true } : problem);
  };
  const byWord = candidatesByWord(targets);
  const relations = new Map<T, Relations>(targets.map((target) => [target, { groups: {}, after: [], provides: [] }]));

  groups.forEach(({ name, targets: listed, tag, maxUnavailable = 1 }, index) => {
    if (groups.findIndex((one) => one.name === name) < index) {
      complain(['groups', index, 'name'], `"${name}" is the name of another group too`, 'give it another name');
    }
    listed?.forEach((word, at) => {
      const found = byWord.get(word) ?? [];
      if (found.length === 0) {
        const message = `${JSON.stringify(word)} is no target of this plan`;
        complain(['groups', index, 'targets', at], message, suggest(word, [...byWord.keys()]), mayBeChosen(word));
      }
      for (const target of found) Object.assign(relations.get(target)?.groups ?? {}, { [name]: maxUnavailable });
    });
    if (tag === undefined) return;
    const tagged = targets.filter(({ tags }) => Object.hasOwn(tags, tag));
    if (tagged.length === 0) {
      complain(
        ['groups', index, 'tag'],
        `no target has the tag ${JSON.stringify(tag)}`,
        'check its name, or list targets',
        true,
      );
    }
    for (const target of tagged) {
      Object.assign(relations.get(target)?.groups ?? {}, { [`${name}=${target.tags[tag]}`]: maxUnavailable });
    }
  });

  const edges = new Map<number, Set<number>>();
  for (const target of targets) {
    target.after.forEach((word, at) => {
      const found = byWord.get(word) ?? [];
      const isFirst = targets.find(({ entry }) => entry === target.entry) === target;
      if (found.length === 0 && isFirst) {
        const message = `${JSON.stringify(word)} is no target of this plan`;
        complain(['targets', target.entry, 'after', at], message, suggest(word, [...byWord.keys()]), mayBeChosen(word));
      }
      relations.get(target)?.after.push(word);
      for (const one of found) {
        const provides = relations.get(one)?.provides;
        if (provides?.includes(word) === false) provides.push(word);
        edges.set(target.entry, (edges.get(target.entry) ?? new Set()).add(one.entry));
      }
    });
  }
  const circle = firstCircle(edges);
  if (circle !== null) {
    const [first = 0] = circle;
    const titles = circle.map((entry) => titleOf(targets.filter((target) => target.entry === entry)));
    complain(['targets', first, 'after'], `goes round in a circle: ${titles.join(' → ')}`, 'remove one of these');
  }
  return { relations, problems };
}

/** Problems of an order of waves that would let a target wait for ever, or a chain too long for a shard. */
export function waitProblems<T extends Related>(
  source: Source,
  waves: readonly { readonly name: string; readonly targets: readonly T[] }[],
  relations: ReadonlyMap<T, Relations>,
): InputProblem[] {
  const problems: InputProblem[] = [];
  const latest = new Map<string, number>();
  waves.forEach(({ targets }, at) => {
    for (const target of targets) for (const word of relations.get(target)?.provides ?? []) latest.set(word, at);
  });
  const told = new Set<string>();
  waves.forEach(({ name, targets }, at) => {
    for (const { entry, after } of targets) {
      after.forEach((word, place) => {
        const later = latest.get(word) ?? at;
        const key = `${entry} ${place}`;
        if (later <= at || told.has(key)) return;
        told.add(key);
        const message = `"${word}" is in wave "${waves[later]?.name}", which comes after wave "${name}" of this target`;
        problems.push(
          source.problem(['spec', 'targets', entry, 'after', place], message, 'order the waves the other way'),
        );
      });
    }
    const related = targets.map((target) => ({ target, ...relations.get(target) }));
    const tooLong = chains(related).find((list) => list.length > SHARD_SIZE);
    if (tooLong !== undefined) {
      const entry = tooLong[0]?.target.entry ?? 0;
      const message = `${tooLong.length} targets of wave "${name}" wait for each other, and at most ${SHARD_SIZE} can`;
      const remedy = 'put what others wait for into an earlier wave';
      problems.push(source.problem(['spec', 'targets', entry], message, remedy));
    }
  });
  return problems;
}

/** The first circle in a graph, closed: `[a, b, a]`; `null` when there is none. */
export function firstCircle(edges: ReadonlyMap<number, ReadonlySet<number>>): number[] | null {
  const done = new Set<number>();
  for (const start of edges.keys()) {
    if (done.has(start)) continue;
    // A list instead of calls: a chain may be longer than the stack is deep. Each node has what is left to look at.
    const path = new Map([[start, (edges.get(start) ?? new Set()).values()]]);
    const nodes = [start];
    for (let node = nodes.at(-1); node !== undefined; node = nodes.at(-1)) {
      const next = path.get(node)?.next();
      if (next === undefined || next.done === true) {
        done.add(node);
        path.delete(node);
        nodes.pop();
      } else if (path.has(next.value)) {
        return [...nodes.slice(nodes.indexOf(next.value)), next.value];
      } else if (!done.has(next.value)) {
        path.set(next.value, (edges.get(next.value) ?? new Set()).values());
        nodes.push(next.value);
      }
    }
  }
  return null;
}

function titleOf(targets: readonly Related[]): string {
  const [first] = targets;
  if (first === undefined) return 'a target';
  return first.name ?? (targets.length === 1 ? first.id : first.where.replace(/\.ids\[\d+\]$/, ''));
}
