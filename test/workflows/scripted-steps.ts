/** Steps that answer from a script, so that a workflow's routing is tested without a cloud. */
import { rolloutHold } from '../../activities/hold.js';
import type {
  AwaitInput,
  AwaitResult,
  FreezeSteps,
  FreezeWaits,
  QuarantineSteps,
  PrecheckResult,
  ReadSteps,
  StepInput,
  SubmitInput,
  SubmitResult,
  SubmitSteps,
  VerifyInput,
  VerifyResult,
  WaitSteps,
} from '../../workflows/contracts/steps.js';
import type { SoakInput, SoakResult, SoakSteps } from '../../workflows/contracts/soak.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { UpgradeInput, UpgradeSpec } from '../../workflows/contracts/upgrade.js';

export interface Script {
  precheck?: (input: StepInput, call: number) => Partial<PrecheckResult> | Promise<Partial<PrecheckResult>>;
  submit?: (input: SubmitInput, call: number) => Partial<SubmitResult> | Promise<Partial<SubmitResult>>;
  awaitOperation?: (input: AwaitInput, call: number) => Partial<AwaitResult> | Promise<Partial<AwaitResult>>;
  readFreezes?: FreezeSteps['readFreezes'];
  readQuarantine?: QuarantineSteps['readQuarantine'];
  tellQuarantine?: QuarantineSteps['tellQuarantine'];
  freezesEnded?: FreezeWaits['freezesEnded'];
  verify?: (input: VerifyInput, call: number) => Partial<VerifyResult> | Promise<Partial<VerifyResult>>;
  soak?: (input: SoakInput, call: number) => Partial<SoakResult> | Promise<Partial<SoakResult>>;
}

export interface ScriptedSteps {
  readonly reads: ReadSteps & FreezeSteps & QuarantineSteps;
  readonly submits: SubmitSteps;
  readonly waits: WaitSteps & FreezeWaits & SoakSteps;
  /** What was called, in order: `precheck g1`. */
  readonly called: string[];
}

/** Without a script, every step goes well. */
export function scriptedSteps(script: Script = {}): ScriptedSteps {
  const called: string[] = [];
  const count = (step: string, { spec }: StepInput): number => {
    called.push(`${step} ${spec.resource.id}`);
    return called.filter((entry) => entry === `${step} ${spec.resource.id}`).length;
  };
  return {
    called,
    reads: {
      readQuarantine: async () => (await script.readQuarantine?.()) ?? {},
      tellQuarantine: async (change) => script.tellQuarantine?.(change),
      readFreezes: async () => (await script.readFreezes?.()) ?? [],
      precheck: async (input) => {
        const call = count('precheck', input);
        return {
          verdict: 'clear',
          reason: 'version 1, status 200',
          version: '1',
          status: '200',
          findings: [],
          knownOperations: [],
          ...(await script.precheck?.(input, call)),
        };
      },
    },
    submits: {
      submit: async (input) => {
        const call = count('submit', input);
        return {
          verdict: 'submitted',
          reason: 'accepted as job-1',
          operation: { id: 'job-1', since: '2026-11-21T10:00:00.000Z' },
          version: '1',
          calls: [],
          retryInMs: 0,
          submission: input.submission,
          unresolvedSince: null,
          ...(await script.submit?.(input, call)),
        };
      },
    },
    waits: {
      freezesEnded: async (ids) => (await script.freezesEnded?.(ids)) ?? [],
      awaitOperation: async (input) => {
        const call = count('await', input);
        return {
          ended: true,
          providerSays: 'succeeded',
          reason: 'job success',
          polls: 3,
          throughVerify: input.throughVerify === true,
          ...(await script.awaitOperation?.(input, call)),
        };
      },
      verify: async (input) => {
        const call = count('verify', input);
        return {
          verdict: 'at-target',
          version: '2',
          status: '200',
          health: 'status 200',
          reason: 'version 2, status 200',
          ...(await script.verify?.(input, call)),
        };
      },
      soak: async (input) => {
        called.push(`soak ${input.wave}`);
        const call = called.filter((entry) => entry === `soak ${input.wave}`).length;
        return {
          wave: input.wave,
          healthyMs: input.soak.forMs,
          verdict: 'passing',
          reason: '2 probes pass',
          restarts: 0,
          lastRestart: null,
          rounds: 31,
          probedAt: new Date().toISOString(),
          next: 0,
          suspects: [],
          soaked: true,
          ...(await script.soak?.(input, call)),
        };
      },
    },
  };
}

/** Operations that are followed until they are let go, and have ended well then. */
export function heldOperations() {
  let follow = () => {};
  const followed = new Promise<void>((resolve) => (follow = resolve));
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const script = {
    awaitOperation: async () => {
      follow();
      await released;
      return {};
    },
  } satisfies Script;
  return { script, followed, release };
}

/** A submit that asks for its rollout's hold right before it would send. @param before what it waits for first */
export function asksForHold(before: () => Promise<void>): NonNullable<Script['submit']> {
  return async (input) => {
    await before();
    const hold = await rolloutHold(input);
    return hold === null ? {} : { verdict: 'held-back', reason: hold.reason, operation: null };
  };
}

export function spec(id: string, account = 'prod'): UpgradeSpec {
  return {
    resource: { account, cloud: 'huawei', service: 'ges-v2', family: 'ges', region: 'cn-north-4', id },
    target: { version: '2' },
    targetLabel: '2',
    plannedFrom: '1',
  };
}

/** A rollout of one wave. */
export function rolloutInput(
  rollout: string,
  wave: { readonly ids: readonly string[]; readonly concurrency: number },
  budget: RolloutInput['budget'],
  each: Partial<UpgradeSpec> = {},
): RolloutInput {
  return {
    rollout,
    planDigest: 'digest',
    startedBy: 'test',
    waves: [{ name: 'one', concurrency: wave.concurrency, upgrades: wave.ids.map((id) => ({ ...spec(id), ...each })) }],
    budget,
    accountLimits: {},
    timing: { scale: 1 },
  };
}

export function upgradeInput(id: string, more: Partial<UpgradeSpec> = {}): UpgradeInput {
  return { rollout: 'r-1', rolloutRun: 'run-1', wave: 'one', spec: { ...spec(id), ...more }, timing: { scale: 1 } };
}
