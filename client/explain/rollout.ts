/** What holds a rollout as a whole: each kind of cause is one function, and finds nothing where it does not hold. */
import { Gates } from '../../calendar/gate.js';
import type { GateState } from '../../workflows/contracts/calendar.js';
import { allowedInFlight } from '../../workflows/contracts/outcome.js';
import { soakedAt, soakLabel } from '../../workflows/contracts/soak.js';
import { unservedBy } from '../deployments.js';
import { budgetUsed } from '../render/report.js';
import { count } from '../render/text.js';
import { endedIn, hasEnded, heldBy, heldLabel, type RolloutView, type WaveView } from '../views.js';
import { type Cause, type FindCauses, isInFlight, isPending, type Scene } from './scene.js';

/** A queue that nobody serves: all its steps stand still. */
export const noWorker: FindCauses = ({ view, queues }) => {
  const idle = queues.filter(({ pollers }) => pollers.length === 0);
  if (hasEnded(view) || idle.length === 0) return [];
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
    ? [{ who: view.rollout, what: view.reason, nextAt: null, changes: `uplift resume ${view.rollout}` }]
    : [];

/** Whose approval it waits for, how many there are, and when it is too late. */
export const wantsApproval: FindCauses = ({ view }) => {
  const { approval, rollout } = view;
  if (view.state !== 'Waiting' || approval === null) return [];
  const { title, quorum, given, may, expiresAt } = approval;
  const by = given.length === 0 ? '' : ` (${given.join(', ')})`;
  return [
    {
      who: rollout,
      what: `${title} waits for approval: ${given.length} of ${quorum} given${by}; ${may.join(', ')} may; without it the rollout ends`,
      nextAt: expiresAt,
      changes: `uplift approve ${rollout}`,
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
        who: name,
        // The rollout's own words say also whether somebody probes.
        what: isWaiting ? view.reason : `soak of wave ${name}: ${soakLabel(soak)}`,
        nextAt: earliest === null ? null : new Date(Math.max(earliest, now)).toISOString(),
        changes: `${passes ? 'healthy time' : 'its probes pass, and healthy time follows'}; or uplift waive ${view.rollout}`,
      },
    ];
  });

/** Windows that what has not started waits for. The calendar is asked here, so that no worker is needed. */
export const windowShut: FindCauses = ({ view, input, rows, chosen, specs, now }) => {
  if (input.windows === undefined || hasEnded(view)) return [];
  const gates = new Gates(input.windows);
  const hasStarted = rows.some(({ runId }) => runId !== null);
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
        changes: `its end; or somebody other than ${held.freeze.owner}: uplift freeze lift ${held.freeze.id}`,
      }));

/** Where the rollout stands, when nothing of the above says so already. */
export const standing: FindCauses = ({ view }) =>
  view.state === 'Paused' || view.state === 'Waiting'
    ? []
    : [{ who: view.rollout, what: `${view.state}: ${view.reason}`, nextAt: null, changes: view.next }];

/** What the failure budget has taken, as soon as anything failed. */
export const budget: FindCauses = ({ view }) => {
  const { charged, failures } = view;
  const { max } = view.budget;
  if (hasEnded(view) || Math.max(charged, failures) === 0) return [];
  const changes =
    charged > max ? 'nothing: it is spent' : charged === max ? 'one more failure ends it' : 'another failure';
  return [{ who: view.rollout, what: `failure budget: ${budgetUsed(view)}`, nextAt: null, changes }];
};

/** Why more of the running wave is not started: the room that the budget or a limit leaves. */
export const room: FindCauses = (scene) => {
  const { view } = scene;
  const wave = view.waves.find(({ state }) => state === 'Running');
  if (hasEnded(view) || wave === undefined || view.state !== 'Running' || view.charged > view.budget.max) return [];
  const { waiting, inFlight } = placesIn(wave, scene);
  if (waiting <= 0) return [];
  return [
    {
      who: wave.name,
      what: `${waiting} not started, ${inFlight} in flight: ${narrowest(view, wave, inFlight)}`,
      nextAt: null,
      changes: 'the end of one that is in flight',
    },
  ];
};

function placesIn(wave: WaveView, { view, rows }: Scene): { readonly waiting: number; readonly inFlight: number } {
  const index = view.waves.indexOf(wave) + 1;
  const inFlight = rows.filter((row) => row.waveIndex === index && isInFlight(row)).length;
  return { inFlight, waiting: wave.total - endedIn(wave.counts) - inFlight };
}

function narrowest({ budget: { max, mode }, charged }: RolloutView, { concurrency }: WaveView, inFlight: number) {
  const allowed = allowedInFlight(concurrency, max, charged, mode);
  if (allowed < concurrency)
    return `the strict failure budget (${charged} of ${max} used) leaves room for ${allowed} at a time`;
  if (inFlight >= concurrency) return `its concurrency is ${concurrency}`;
  return 'windows, leases of others, or a limit of an account, service, region or group leave no more room';
}

/** What a resource that is asked for rests on, when it is not in flight. */
export const resting: FindCauses = ({ view, chosen, resource }) => {
  if (resource === null) return [];
  return chosen.flatMap((row): Cause[] => {
    const who = row.resourceId;
    if (row.outcome !== null) {
      const what = `${row.outcome}${row.reason === '' ? '' : `: ${row.reason}`}`;
      return [{ who, what, nextAt: null, changes: 'nothing: it has ended' }];
    }
    // What waits for somebody has a cause of its own.
    if (!isPending(row) || row.reason !== '') return [];
    const state = view.waves[row.waveIndex - 1]?.state;
    if (state === 'Skipped')
      return [{ who, what: `its wave ${row.wave} is skipped`, nextAt: null, changes: 'nothing' }];
    const what = state === 'Running' ? 'its turn in its wave has not come' : `its wave ${row.wave} has not begun`;
    return [{ who, what, nextAt: null, changes: view.next }];
  });
};

/** Resources that somebody else upgrades, or that wait for others of the plan: who has them, and when it is looked again. */
export const waitsForOthers: FindCauses = ({ chosen }) =>
  chosen
    .filter((row) => isPending(row) && row.reason !== '' && row.freeze === undefined)
    .map(({ resourceId, reason, nextAt }) => ({
      who: resourceId,
      what: reason,
      nextAt,
      changes: 'the end of what it waits for',
    }));
