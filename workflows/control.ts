/** People's hands on a running rollout: each act is recorded, changes what is to come, and is passed on to its waves. */
import { CancellationScope, patched, upsertMemo } from '@temporalio/workflow';
import {
  type Act,
  HOLD_MEMO,
  controlRequestIn,
  endedPausesLabel,
  heardWords,
  holdLabel,
  saidBefore,
  type ConcurrencyRequest,
  type ControlRequest,
  type DecisionRequest,
  type SkipRequest,
  type WaiveRequest,
  type WaveOrder,
  whyNameless,
  whyUnsigned,
  wordsOf,
} from './contracts/control.js';
import { allowedInFlight } from './contracts/outcome.js';
import { sizeOf, type WaveInput, type WavePlan } from './contracts/rollout.js';
import { tighterLimits } from './limits.js';
import { waveOrderSignal } from './messages.js';
import type { RolloutState, WaveState } from './rollout-state.js';
import type { Soak } from './soak.js';
import { mustBeInTime } from './timely.js';

/** Of single resources: each writes nine events into the rollout's history, and its wave's. */
const MOST_SKIPS = 100;
/** Of accounts, services and regions: so many stand in an answer. */
const SHOWN_LIMITS = 3;

export class Control {
  private readonly rollout: RolloutState;
  /** Orders to waves, one after the other. */
  private orders: Promise<void> = Promise.resolve();
  /** Why nothing is sent any more, whoever resumes it. */
  private forbidden: string | null = null;

  constructor(rollout: RolloutState) {
    this.rollout = rollout;
  }

  /** Pause, resume or stop. One that was heard before, or is none, changes nothing. */
  control(argument: ControlRequest): void {
    const { rollout } = this;
    const request = controlRequestIn(argument);
    if (request === null) return;
    const { requestId, act, actor, reason, at } = request;
    if (rollout.acts.some((one) => one.requestId === requestId)) return;
    const isOver = rollout.result !== null;
    const also = act === 'resume' && !isOver ? endedPausesLabel(rollout.pauses, actor) : null;
    const told = { requestId, act, what: 'the rollout', actor, reason, ...saidBefore(at, Date.now()) };
    const done = rollout.record(also === null ? told : { ...told, also });
    if (isOver) return;
    if (act === 'stop') {
      rollout.stop ??= done;
      this.forbidSending(wordsOf(rollout.stop));
      rollout.running.cancel();
    } else {
      rollout.pauses = act === 'pause' ? withPause(rollout.pauses, done) : [];
      const why = this.hold;
      upsertMemo({ [HOLD_MEMO]: this.forbidden ?? why });
      for (const wave of rollout.waves) this.order(wave, { hold: why });
    }
  }

  /** Nobody starts anything any more, and no submit that is queued already may send. */
  forbidSending(why: string): void {
    // Rollouts of older releases did not say it to what was queued.
    if (!patched('stop-holds')) return;
    this.forbidden ??= why;
    upsertMemo({ [HOLD_MEMO]: this.forbidden });
  }

  /** @throws Error saying why it cannot be left out */
  maySkip({ wave: index, upgrade, actor, reason, ...timely }: SkipRequest): void {
    mustBeInTime(timely);
    mustBeSigned({ actor, reason });
    const nameless = whyNameless({ upgrade });
    if (nameless !== null) throw new Error(nameless);
    this.rollout.openWave(index);
    this.mustGoOn();
    const skips = this.rollout.waves.reduce((sum, one) => sum + one.skips.length, 0);
    if (upgrade !== null && skips >= MOST_SKIPS) {
      throw new Error(`${MOST_SKIPS} resources of the rollout are skipped one by one: skip a wave, or plan anew`);
    }
  }

  skip({ wave: index, upgrade, actor, reason }: SkipRequest): string {
    const wave = this.rollout.openWave(index);
    const what = upgrade === null ? `wave ${wave.plan.name}` : heardWords(upgrade.title);
    const why = wordsOf(this.rollout.record({ requestId: null, act: 'skip', what, actor, reason }));
    if (upgrade !== null) {
      const order = { shard: upgrade.shard, workflowId: upgrade.workflowId, why };
      wave.skips.push(order);
      this.order(wave, { skip: order });
      return `${what} is left out, unless it has started already`;
    }
    if (wave.state === 'Running') {
      wave.skipRest = why;
      this.order(wave, { skipRest: why });
      return `${what}: what has not started of it is left out`;
    }
    wave.counts = { Skipped: sizeOf(wave.plan) };
    for (const name of wave.plan.provides ?? []) this.rollout.missed.add(name);
    wave.state = 'Skipped';
    if (this.rollout.gate === index && patched('skip-ends-gate')) this.rollout.gate = undefined;
    // Rollouts of older releases went on to wait for the approval of nothing.
    const { waves } = this.rollout;
    if (waves.every(({ state }) => state === 'Skipped') && patched('all-skipped')) this.rollout.isLeftOut = true;
    return `${what}: is left out`;
  }

  /** @throws Error saying why it cannot be set */
  maySetConcurrency({ wave, concurrency, actor, reason, ...timely }: ConcurrencyRequest): void {
    mustBeInTime(timely);
    mustBeSigned({ actor, reason });
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 10_000) {
      throw new Error('a concurrency is a whole number from 1 to 10000');
    }
    this.mustGoOn();
    if (wave !== null) this.rollout.openWave(wave);
    else if (this.rollout.waves.every(({ state }) => state !== 'Pending' && state !== 'Running')) {
      throw new Error('every wave has ended');
    }
  }

  setConcurrency({ wave: index, concurrency, actor, reason }: ConcurrencyRequest): string {
    const { rollout } = this;
    const waves = index === null ? rollout.waves : [rollout.openWave(index)];
    const open = waves.filter(({ state }) => state === 'Pending' || state === 'Running');
    const where = index === null ? '' : ` in wave ${waves[0]?.plan.name}`;
    rollout.record({ requestId: null, act: 'concurrency', what: `${concurrency} at a time${where}`, actor, reason });
    for (const wave of open) {
      wave.concurrency = concurrency;
      this.order(wave, { concurrency });
    }
    const { budget, accountLimits } = rollout.input;
    const { mode } = budget;
    const allows = (max: number, failures: number, of: string, when: string) => ({
      max,
      of,
      when,
      allowed: allowedInFlight(concurrency, max, failures, mode),
    });
    const overall = allows(budget.max, rollout.failures, '', 'now');
    const byWave = open.map(({ plan, failures, state }) => {
      const when = state === 'Running' ? 'now' : 'once it runs';
      const own =
        plan.maxFailures === undefined ? overall : allows(plan.maxFailures, failures, ` of wave ${plan.name}`, when);
      return { plan, ...(own.allowed < overall.allowed ? own : overall) };
    });
    const { max, of, when, allowed } = byWave.reduce(
      (least, one) => (one.allowed < least.allowed ? one : least),
      overall,
    );
    return [
      `${concurrency} at a time${where}`,
      ...(allowed < concurrency ? [`the ${mode} budget of ${max}${of} allows ${allowed} ${when}`] : []),
      ...limitWords(tighterLimits(byWave, accountLimits)),
    ].join('; ');
  }

  /** @throws Error saying why this person's word is not taken */
  mayDecide(request: DecisionRequest): void {
    const { approvals, result, gate, waves } = this.rollout;
    mustBeInTime(request);
    if (result !== null) throw new Error('the rollout has ended');
    const { rejection } = approvals;
    if (rejection !== null) {
      const { title, actor, reason } = rejection;
      throw new Error(`${title} was rejected by ${actor} already: ${reason}`);
    }
    this.mustGoOn();
    const wave = waves[(request.wave ?? gate ?? 0) - 1];
    if (wave?.state === 'Skipped') throw new Error(`wave ${wave.plan.name} is skipped: it needs no approval`);
    approvals.mayDecide(request, gate);
  }

  decide(request: DecisionRequest): string {
    const { decision, actor, reason } = request;
    const { approvals, gate, runningWave, soaking } = this.rollout;
    const decided = approvals.decide(request, gate, new Date().toISOString());
    const isLater = decision === 'reject' && runningWave !== null;
    const answer = isLater ? `${decided} once wave ${runningWave.plan.name} has ended` : decided;
    this.rollout.record({ requestId: null, act: decision, what: answer, actor, reason });
    if (decision === 'reject' && soaking !== null && patched('reject-ends-soak')) soaking.soak?.stop();
    return answer;
  }

  /** @throws Error saying why there is nothing to waive */
  mayWaive(request: WaiveRequest): void {
    mustBeInTime(request);
    mustBeSigned(request);
    if (this.rollout.result !== null) throw new Error('the rollout has ended');
    this.soakOf(request.wave);
  }

  waive({ wave, actor, reason }: WaiveRequest): string {
    const { plan, soak } = this.soakOf(wave);
    // How far it came, its worker tells afterwards.
    const what = `the soak of wave ${plan.name}`;
    soak.waive();
    this.rollout.record({ requestId: null, act: 'waive', what, actor, reason });
    return `${what}: the rest is waived`;
  }

  /** Why nothing is started for now; `null` while things may be. */
  get hold(): string | null {
    return holdLabel(this.rollout.pauses);
  }

  /** What was said between a wave's start and the server's word that it has started. */
  catchUp(wave: WaveState, given: WaveInput): void {
    if (this.hold !== given.hold) this.order(wave, { hold: this.hold });
    if (wave.concurrency !== given.wave.concurrency) this.order(wave, { concurrency: wave.concurrency });
    if (wave.skipRest !== null && patched('skip-rest-at-start')) this.order(wave, { skipRest: wave.skipRest });
    for (const skip of wave.skips.slice(given.skips?.length ?? 0)) this.order(wave, { skip });
  }

  /** @throws Error when nothing more of the rollout begins */
  private mustGoOn(): void {
    const { isLeftOut, isOver, isStopping } = this.rollout;
    if (isLeftOut) throw new Error('every wave is skipped: nothing of the rollout begins, or needs approval');
    if (isOver || isStopping) throw new Error('nothing more of the rollout begins');
  }

  /** The open soak of this wave; without a number, the one that runs. */
  private soakOf(index: number | undefined): { plan: WavePlan; soak: Soak } {
    const { waves, soaking } = this.rollout;
    const wave = index === undefined ? soaking : waves[index - 1];
    const open = waves.filter(({ soak }) => soak?.isOpen === true).map(({ plan }) => plan.name);
    const others = open.length === 0 ? 'and none is to come' : `${open.join(', ')} can be waived ahead, by name`;
    if (wave === null) throw new Error(`no wave soaks now (${others})`);
    if (wave === undefined) throw new Error(`there is no wave ${index}`);
    const { plan, soak } = wave;
    if (soak === null) throw new Error(`wave ${plan.name} has no soak`);
    if (!soak.isOpen) throw new Error(`the soak of wave ${plan.name} is over: ${soak.told.state}`);
    return { plan, soak };
  }

  /** To a wave that runs; one that has not begun is given all of it when it does. */
  private order(wave: WaveState, order: WaveOrder): void {
    const { child } = wave;
    if (child === null) return;
    this.orders = this.orders
      .then(() => CancellationScope.nonCancellable(() => child.signal(waveOrderSignal, order)))
      // One that has ended needs no order.
      .catch(() => undefined);
  }
}

/** Who says the same again has paused it once. */
function withPause(pauses: readonly Act[], pause: Act): readonly Act[] {
  const isSaid = pauses.some(({ actor, reason }) => actor === pause.actor && reason === pause.reason);
  return isSaid ? pauses : [...pauses, pause];
}

/** `as before at most 2 of account prod, 1 or 5 (by wave) of service dcs`: what a concurrency does not change. */
function limitWords(tighter: ReadonlyMap<string, readonly number[]>): string[] {
  if (tighter.size === 0) return [];
  const labels = [...tighter].map(([name, limits]) => {
    const at = name.indexOf(':');
    const byWave = limits.length === 1 ? '' : ' (by wave)';
    return `${limits.join(' or ')}${byWave} of ${name.slice(0, at)} ${name.slice(at + 1)}`;
  });
  const shown = [...labels.slice(0, SHOWN_LIMITS), ...(labels.length > SHOWN_LIMITS ? ['…'] : [])].join(', ');
  return [`as before at most ${shown}`];
}

/** @throws Error for an act without a name or a reason, or with one that is too long */
function mustBeSigned(act: Pick<Act, 'actor' | 'reason'>): void {
  const why = whyUnsigned(act);
  if (why !== null) throw new Error(why);
}
