/** What holds a rollout as a whole: each kind of cause is one function, and finds nothing where it does not hold. */
import { Gates } from '../../calendar/gate.js';
import { signedCommand } from '../../workflows/contracts/commands.js';
import type { GateState } from '../../workflows/contracts/calendar.js';
import type { Limits } from '../../workflows/contracts/rollout.js';
import { approvalLabel } from '../../workflows/contracts/control.js';
import { type KeptGroup, keptLabel, KeptPlaces, keptReason } from '../../workflows/kept-places.js';
import { drawn, drawsOf, groupLimits, limitsOf, RISK, SLOTS, startable } from '../../workflows/limits.js';
import { allowedInFlight } from '../../workflows/contracts/outcome.js';
import { lockedLabel } from '../../workflows/contracts/leases.js';
import { soakedAt, soakLabel } from '../../workflows/contracts/soak.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { unservedBy } from '../deployments.js';
import { budgetUsed } from '../render/report.js';
import { count } from '../render/text.js';
import {
  endedIn,
  endedUnwell,
  hasAnyBegun,
  hasEnded,
  heldBy,
  heldLabel,
  isInFlight,
  isPending,
  isRetryable,
  isSpent,
  type ResourceRow,
  type RolloutView,
  type WaveView,
} from '../views.js';
import { type Cause, expected, type FindCauses, perScene, type Scene } from './scene.js';

/** A queue that nobody serves: all its steps stand still. A worker that has just died is among those that serve. */
export const noWorker: FindCauses = ({ view, queues }) => {
  const idle = queues.filter(({ pollers }) => pollers.length === 0);
  if (hasEnded(view)) return [];
  if (idle.length === 0) {
    const what = 'no worker answers, and one was there a minute ago: it has ended, or is too busy';
    return view.workerAnswers
      ? []
      : [{ who: 'worker', what, nextAt: null, changes: 'the answer of one; start another: uplift worker' }];
  }
  const all = idle.length === queues.length;
  return [
    {
      who: 'worker',
      what: all ? 'no worker is there' : `no worker serves ${idle.map(({ name }) => name).join(', ')}`,
      nextAt: null,
      changes:
        all || !idle.some(({ name }) => name.includes('@'))
          ? 'start one: uplift worker'
          : 'start one whose UPLIFT_QUEUES names what follows the @: uplift worker',
    },
  ];
};

/** Workers that poll, and get nothing. */
export const notPromoted: FindCauses = ({ view, queues, deployments }) =>
  hasEnded(view)
    ? []
    : deployments
        .filter(({ name, current }) => current === null && unservedBy(queues, name, null).length > 0)
        .map(({ name, versions: [newest] }) => ({
          who: 'worker',
          what: `the workers of deployment ${name} get no task before a version of it is current`,
          nextAt: null,
          changes: `uplift worker promote ${newest?.buildId ?? ''} --deployment ${name}`,
        }));

/** A person's hold. */
export const paused: FindCauses = ({ view }) =>
  view.state === 'Paused'
    ? [{ who: view.rollout, what: view.reason, nextAt: null, changes: signedCommand('resume', view.rollout) }]
    : [];

/** Whose approval it waits for, how many there are, and when it is too late. */
export const wantsApproval: FindCauses = ({ view }) => {
  const { approval, rollout } = view;
  // Its time runs out while it is paused, too.
  if (hasEnded(view) || approval === null) return [];
  const { title, expiresAt } = approval;
  return [
    {
      who: rollout,
      what: `${title} waits for approval: ${approvalLabel(approval)}; without it the rollout ends`,
      nextAt: expiresAt,
      changes: signedCommand('approve', rollout),
    },
  ];
};

/** Healthy time after a wave: how much there is, why the clock stands or started again, and when it can be over. */
export const soaks: FindCauses = ({ view, now }) =>
  view.waves.flatMap(({ name, soak }) => {
    if (soak?.state !== 'Running' || hasEnded(view)) return [];
    const earliest = soakedAt(soak);
    const isWaiting = view.state === 'Waiting' && view.approval === null;
    const passes = soak.progress?.verdict === 'passing';
    return [
      {
        who: `wave ${name}`,
        // The rollout's own words say also whether somebody probes.
        what: isWaiting ? view.reason : `soak of wave ${name}: ${soakLabel(soak)}`,
        nextAt: earliest === null ? null : new Date(Math.max(earliest, now)).toISOString(),
        changes: `${passes ? 'healthy time' : 'its probes pass, and healthy time follows'}; or ${signedCommand('waive', view.rollout)}`,
      },
    ];
  });

/** Windows that what has not started waits for. The calendar is asked here, so that no worker is needed. */
export const windowShut: FindCauses = ({ view, input, rows, chosen, specs, now }) => {
  if (input.windows === undefined || hasEnded(view)) return [];
  const gates = new Gates(input.windows);
  const hasStarted = hasAnyBegun(view, rows);
  const waiting = new Map<number, string[]>();
  for (const row of chosen.filter(isPending)) {
    const gate = specs.get(row.workflowId)?.gate;
    if (gate !== undefined) waiting.set(gate, [...(waiting.get(gate) ?? []), row.resourceId]);
  }
  const shut = [...waiting].map(([gate, ids]) => ({ ids, state: gates.state(gate, now, hasStarted) }));
  return shut
    .filter(({ state }) => !state.open)
    .map(({ ids: [first = '', ...more], state }) => ({
      who: more.length === 0 ? first : count(more.length + 1, 'resource'),
      what: whyShut(state),
      nextAt: state.until,
      changes: state.over ? 'nothing: it is not started any more' : 'the opening of its window',
    }));
};

function whyShut({ until, reason, over }: GateState): string {
  if (over || until === null) return `no window opens for it any more: ${reason}`;
  return `waits for its window, which opens ${until}: ${reason}`;
}

/** Freezes that keep something of it from starting. */
export const frozen: FindCauses = ({ view, chosen }) =>
  hasEnded(view)
    ? []
    : heldBy(chosen.map(({ freeze }) => freeze ?? null)).map((held) => ({
        who: held.freeze.id,
        what: `${heldLabel(held)}, since ${held.freeze.since}`,
        nextAt: held.freeze.until,
        changes: `its end; or somebody other than ${held.freeze.owner}: ${signedCommand('freeze', 'lift', held.freeze.id)}`,
      }));

/** Where the rollout stands, when nothing of the above says so already, and somebody can tell. */
export const standing: FindCauses = ({ view, forecast }) => {
  if (view.state === 'Paused' || view.state === 'Waiting') return [];
  if (view.state === 'Running' && !view.workerAnswers) return [];
  const at = view.waves.findIndex(({ state }) => state === 'Running');
  const nextAt = forecast?.waves[at]?.ends.p50 ?? null;
  const tried = isRetryable(view) ? `; ${signedCommand('retry', view.rollout)} tries again what did not go well` : '';
  const changes = nextAt === null ? `${view.next}${tried}` : `${view.next}, expected then`;
  return [{ who: view.rollout, what: `${view.state}: ${view.reason}`, nextAt, changes }];
};

/** What the failure budget has taken, as soon as anything failed; and that of a wave of its own. */
export const budget: FindCauses = ({ view, input }) => {
  const { charged, failures } = view;
  const { max, mode } = view.budget;
  if (hasEnded(view) || Math.max(charged ?? 0, failures) === 0) return [];
  const ofWaves = view.waves.flatMap((wave, at): Cause[] => {
    const own = input.waves[at]?.maxFailures;
    const used = wave.charged;
    if (own === undefined || used === null || used === 0 || wave.state !== 'Running') return [];
    const what = `failure budget of wave ${wave.name}: ${used} of ${own} failed, ${mode}`;
    return [{ who: `wave ${wave.name}`, what, nextAt: null, changes: nextFailure(used, own) }];
  });
  const what = `failure budget: ${budgetUsed(view)}`;
  const spent = `nothing: it is spent; after the end, ${signedCommand('retry', view.rollout, '--only', 'failed')}`;
  const unspent = charged === null ? 'the answer of a worker tells: uplift worker' : nextFailure(charged, max);
  return [{ who: view.rollout, what, nextAt: null, changes: isSpent(view) ? spent : unspent }, ...ofWaves];
};

function nextFailure(used: number, max: number): string {
  return used > max ? 'nothing: it is spent' : used === max ? 'one more failure ends it' : 'another failure';
}

/** Why more of the running wave is not started: the room that the budget or a limit leaves. */
export const room: FindCauses = (scene) => {
  const { view } = scene;
  const wave = view.waves.find(({ state }) => state === 'Running');
  if (wave === undefined || view.state !== 'Running' || isSpent(view) || !view.workerAnswers) return [];
  const { waiting, inFlight } = placesIn(wave, scene);
  if (waiting <= 0) return [];
  const who = `wave ${wave.name}`;
  const places = `${waiting} not started, ${inFlight} in flight`;
  const limit = narrowest(wave, scene);
  if (limit === null) {
    const index = view.waves.indexOf(wave) + 1;
    const pending = scene.rows.filter((row) => row.waveIndex === index && isPending(row));
    // A freeze has a cause of its own.
    if (pending.length > 0 && pending.every(({ freeze }) => freeze !== undefined)) return [];
    const what = `${places}: what is left waits for windows, leases of others, or other upgrades`;
    return [{ who, what, nextAt: null, changes: 'what each of them waits for' }];
  }
  const nextAt = firstEnd(wave, scene);
  const changes = `the end of one that is in flight${nextAt === null ? '' : ', expected then'}`;
  return [{ who, what: `${places}: ${limit}`, nextAt, changes }];
};

/** When the first of those in flight is expected to end; `null` where nobody can tell. */
function firstEnd(wave: WaveView, scene: Scene): string | null {
  const index = scene.view.waves.indexOf(wave) + 1;
  const flying = scene.rows.filter((row) => row.waveIndex === index && isInFlight(row));
  const ends = flying.flatMap((row) => expected(scene, row)?.ends.p50 ?? []);
  return ends.toSorted()[0] ?? null;
}

function placesIn(wave: WaveView, { view, rows }: Scene): { readonly waiting: number; readonly inFlight: number } {
  const index = view.waves.indexOf(wave) + 1;
  const inFlight = rows.filter((row) => row.waveIndex === index && isInFlight(row)).length;
  return { inFlight, waiting: wave.total - endedIn(wave.counts) - inFlight };
}

/** The limit that lets most others in if it were not there; of several, the first; `null` where none is reached. */
function narrowest(wave: WaveView, { view, input, rows, specs }: Scene): string | null {
  const index = view.waves.indexOf(wave) + 1;
  const { left, words } = budgetOf(wave, view, input.waves[index - 1]?.maxFailures);
  const { concurrency } = wave;
  const { mode } = view.budget;
  const members = rows
    .filter((row) => row.waveIndex === index)
    .map((row) => ({ row, spec: specs.get(row.workflowId) }));
  const drawing = (is: (row: ResourceRow) => boolean) =>
    members.flatMap(({ row, spec }) => (spec !== undefined && is(row) ? [{ draws: drawsOf(spec) }] : []));
  const limits: Limits = {
    ...groupLimits(members.flatMap(({ spec }) => spec ?? [])),
    ...limitsOf({
      concurrency,
      failuresLeft: left,
      mode,
      accountLimits: input.accountLimits,
      limits: input.waves[index - 1]?.limits,
    }),
  };
  // What waits for somebody, or for the end of a freeze, has a cause of its own.
  const pending = drawing((row) => isPending(row) && row.reason === '');
  const flying = drawing(isInFlight);
  // Also of earlier waves: their groups count their places as taken.
  const lost = rows
    .filter((row) => row.waveIndex <= index && endedUnwell(row))
    .map(({ workflowId }) => ({ draws: Object.keys(groupLimits([specs.get(workflowId) ?? {}])) }));
  const uses = drawn(Object.keys(limits), [...flying, ...lost]);
  const label = (name: string) => labelOf(name, limits[name] ?? 0, drawn([name], lost)[name]);
  const without = (name: string | null) =>
    startable(pending, uses, Object.fromEntries(Object.entries(limits).filter(([one]) => one !== name))).length;
  const now = without(null);
  const [binding] = Object.keys(limits)
    .map((name) => ({ name, gain: without(name) - now }))
    .filter(({ gain }) => gain > 0)
    .toSorted((a, b) => b.gain - a.gain);
  const limit = binding === undefined ? 0 : (limits[binding.name] ?? 0);
  if (binding === undefined) {
    const allowed = allowedInFlight(concurrency, left, 0, mode);
    const full = Object.entries(limits).filter(([name, max]) => name.includes(':') && (uses[name] ?? 0) >= max);
    if ((uses[SLOTS] ?? 0) >= Math.min(allowed, concurrency)) {
      return allowed < concurrency
        ? `${words} leaves room for ${allowed} at a time`
        : `its concurrency is ${concurrency}`;
    }
    return full.length === 0 ? null : full.map(([name]) => label(name)).join(', and ');
  }
  if (binding.name === RISK) return `${words} leaves room for ${limit} at a time`;
  return binding.name === SLOTS ? `its concurrency is ${concurrency}` : label(binding.name);
}

/** `the limit of group pair is 2, of which 1 ended unwell` */
function labelOf(name: string, max: number, lost = 0): string {
  const at = name.indexOf(':');
  const gone = lost === 0 ? '' : `, of which ${lost} ended unwell`;
  return `the limit of ${name.slice(0, at)} ${name.slice(at + 1)} is ${max}${gone}`;
}

/** What the wave may yet fail: of the rollout's budget, or of its own where that is less. */
function budgetOf(wave: WaveView, { budget: { max, mode }, charged }: RolloutView, own = Infinity) {
  // Workers of older releases do not tell it of a wave.
  const [used, ofWave] = [charged ?? 0, wave.charged ?? 0];
  const left = Math.max(Math.min(max - used, own - ofWave), 0);
  const words =
    own - ofWave < max - used
      ? `the ${mode} failure budget of wave ${wave.name} (${ofWave} of ${own} used)`
      : `the ${mode} failure budget (${used} of ${max} used)`;
  return { left, words };
}

/** Who holds the lease of a resource that is asked for, where its shard cannot tell, or has not come across it. */
export const leased: FindCauses = ({ chosen, owners, specs }) =>
  chosen.flatMap(({ resourceId, workflowId, reason }): Cause[] => {
    const owner = owners.get(workflowId);
    if (owner === undefined || reason.startsWith(lockedLabel(workflowId))) return [];
    const then = { wait: 'waits', skip: 'is skipped', fail: 'is refused' }[specs.get(workflowId)?.onLocked ?? 'skip'];
    const changes = `the end of that one; if its turn comes before, it ${then}`;
    return [{ who: resourceId, what: lockedLabel(workflowId, owner), nextAt: null, changes }];
  });

/**
 * Members of groups whose places others keep, which serve nobody and wait themselves: who they are, and when enough of
 * them can go on. Those that are kept from the same places are told together.
 */
export const keptPlaces: FindCauses = (scene) => {
  const keptFromRow = keptIn(scene);
  const told = new Map<string, Omit<Cause, 'who'>>();
  return alike(
    scene.chosen.flatMap((row) => {
      const kept = row.freeze === undefined ? keptFromRow(row) : null;
      if (kept === null) return [];
      // Thousands may be kept from the places of one group, by thousands.
      const cause = told.get(keptLabel(kept)) ?? causeOf(kept, scene);
      told.set(keptLabel(kept), cause);
      return [{ who: row.resourceId, ...cause }];
    }),
  );
};

function causeOf(kept: KeptGroup<PendingMember>, scene: Scene): Omit<Cause, 'who'> {
  const { keepers, max } = kept;
  const needed = keepers.length - max + 1;
  const waits = keepers.map(({ row }) => ({ id: row.resourceId, ...waitOf(row, scene) })).toSorted(byNextAt);
  const { id, why, nextAt } = waits[needed - 1] ?? { id: '', why: '', nextAt: null };
  const what = `${keptReason(kept)}; ${id} keeps its place: ${why}`;
  const well = needed === 1 ? `${id} well at its target` : `${needed} of them well at their targets`;
  const changes = `${well}${nextAt === null ? '' : ', which can go on then'}`;
  return { what, nextAt, changes };
}

interface PendingMember {
  readonly row: ResourceRow;
  readonly spec: UpgradeSpec;
}

/** By whom a place of a group of its own is kept from something whose turn has not come; `null` where none is. */
const keptIn = perScene(({ view, rows, specs }): ((row: ResourceRow) => KeptGroup<PendingMember> | null) => {
  const at = hasEnded(view) ? -1 : view.waves.findIndex(({ state }) => state === 'Running');
  const queue = rows.flatMap((row): PendingMember[] => {
    const spec = specs.get(row.workflowId);
    return spec !== undefined && row.waveIndex === at + 1 && isPending(row) ? [{ row, spec }] : [];
  });
  const places = new KeptPlaces(queue);
  const members = new Map(queue.map((member) => [member.row.workflowId, member]));
  return ({ workflowId }) => {
    const member = members.get(workflowId);
    return member === undefined ? null : places.keptFrom(member);
  };
});

interface Wait {
  readonly why: string;
  readonly nextAt: string | null;
}

/** Those of which nobody can tell come last. */
function byNextAt(a: Wait, b: Wait): number {
  if (a.nextAt === null || b.nextAt === null) return Number(a.nextAt === null) - Number(b.nextAt === null);
  return Date.parse(a.nextAt) - Date.parse(b.nextAt);
}

/** What something that has not started waits for, and when that can next change. */
function waitOf(row: ResourceRow, scene: Scene): Wait {
  if (row.reason !== '') return { why: row.reason, nextAt: row.nextAt };
  const gate = scene.specs.get(row.workflowId)?.gate;
  const state = gate === undefined ? null : gateIn(scene)(gate);
  if (state?.open === false) return { why: whyShut(state), nextAt: state.until };
  return { why: 'its turn has not come', nextAt: expected(scene, row)?.starts.p50 ?? null };
}

/** How a gate stands now; `null` of a rollout without windows. */
const gateIn = perScene(({ input, rows, view, now }): ((gate: number) => GateState | null) => {
  if (input.windows === undefined) return () => null;
  const gates = new Gates(input.windows);
  const hasStarted = hasAnyBegun(view, rows);
  return (gate) => gates.state(gate, now, hasStarted);
});

/** What a resource that is asked for rests on, when it is not in flight. */
export const resting: FindCauses = (scene) => {
  const { view, chosen, owners, resource } = scene;
  if (resource === null) return [];
  const keptFromRow = keptIn(scene);
  return chosen.flatMap((row): Cause[] => {
    const who = row.resourceId;
    if (row.phase === 'Ended') {
      const what = `${row.outcome ?? row.phase}${row.reason === '' ? '' : `: ${row.reason}`}`;
      return [{ who, what, nextAt: null, changes: 'nothing: it has ended' }];
    }
    // What waits for somebody has a cause of its own.
    if (!isPending(row) || row.reason !== '') return [];
    const state = view.waves[row.waveIndex - 1]?.state;
    if (state === 'Skipped')
      return [{ who, what: `its wave ${row.wave} is skipped`, nextAt: null, changes: 'nothing' }];
    if (state === 'Running' && (owners.has(row.workflowId) || keptFromRow(row) !== null)) return [];
    const what = state === 'Running' ? 'its turn in its wave has not come' : `its wave ${row.wave} has not begun`;
    const nextAt = expected(scene, row)?.starts.p50 ?? null;
    return [{ who, what, nextAt, changes: nextAt === null ? view.next : `${view.next}; its start is expected then` }];
  });
};

/**
 * Resources that somebody else upgrades, or that wait for others of the plan: who has them, and when it is looked again.
 * Those that wait for the same are told together.
 */
export const waitsForOthers: FindCauses = (scene) => {
  const keptFromRow = keptIn(scene);
  return alike(
    scene.chosen.flatMap((row) => {
      const { resourceId: who, reason, nextAt, freeze } = row;
      if (!isPending(row) || reason === '' || freeze !== undefined) return [];
      const kept = keptFromRow(row);
      // That has a cause of its own.
      if (kept !== null && reason.startsWith(keptLabel(kept))) return [];
      const changes = `the end of what it waits for${nextAt === null ? '' : '; it looks again then'}`;
      return [{ who, what: reason, nextAt, changes }];
    }),
  );
};

/** What holds several alike, once: `g1 and 3 more`. */
function alike(causes: readonly Cause[]): Cause[] {
  const known = new Map<string, { readonly first: Cause; more: number }>();
  for (const cause of causes) {
    const key = JSON.stringify([cause.what, cause.nextAt]);
    const same = known.get(key);
    if (same === undefined) known.set(key, { first: cause, more: 0 });
    else same.more += 1;
  }
  return [...known.values()].map(({ first, more }) =>
    more === 0 ? first : { ...first, who: `${first.who} and ${more} more` },
  );
}
