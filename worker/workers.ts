/** The workers of one process: one per task queue, with slots of their own. */
import type { DataConverter, WorkerDeploymentVersion } from '@temporalio/common';
import {
  type NativeConnection,
  type State as WorkerState,
  Worker,
  type WorkerOptions,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import { systemClock } from '../activities/clock.js';
import { createActivities } from '../activities/index.js';
import type { StepDeps } from '../activities/step.js';
import { queueOf } from '../workflows/contracts/queues.js';
import { BUNDLE, builtBundle } from './bundle.js';
import { scrubbing, scrubbingInterceptor } from './scrubbing.js';
import { type WorkerSettings, workerSettings } from './settings.js';
import { type StepLog, stepInterceptors } from './step-log.js';
import { runTogether, shutDown } from './together.js';

export interface WorkersOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly deps: StepDeps;
  /** A bundle made before; without it the build's, or else the workflows are bundled here (seconds on a busy machine). */
  readonly workflowBundle?: WorkflowBundleOption;
  readonly identity?: string;
  /** As the clients have it: workflows are bundled with its failure converter. */
  readonly dataConverter?: DataConverter;
  /** Left out: as where no variable is set. */
  readonly settings?: WorkerSettings;
  /** Of a deployment whose workers are versioned. */
  readonly deployment?: WorkerDeploymentVersion | null;
  /** A line for every step that ended. */
  readonly log?: StepLog;
  /** What the SDK has logged that a queue's worker failed of. */
  readonly failureOf?: (taskQueue: string) => unknown;
}

export interface Workers {
  /**
   * Resolves when they were shut down, within the shutdown timeout.
   *
   * @throws WorkerEndError when one has failed, or some are still at work when the time is up
   */
  run(): Promise<void>;
  shutdown(): void;
  /** `RUNNING`, or how far each is from it. */
  states(): WorkerState[];
}

/** The workers for all three queues of each name that is served. */
export async function createWorkers(options: WorkersOptions): Promise<Workers> {
  const { settings = workerSettings({}), deployment = null } = options;
  const activities = createActivities(options.deps);
  const common = {
    connection: options.connection,
    namespace: options.namespace,
    ...(options.identity === undefined ? {} : { identity: options.identity }),
    dataConverter: scrubbing(options.dataConverter),
    interceptors: { activity: [() => ({ inbound: scrubbingInterceptor }), stepInterceptors(options.log)] },
    // No grace: a wait is handed over at once, and a send under way is finished, since it does not listen.
    shutdownGraceTime: 0,
    shutdownForceTime: settings.UPLIFT_SHUTDOWN_TIMEOUT,
    ...(deployment === null
      ? {}
      : {
          workerDeploymentOptions: {
            version: deployment,
            useWorkerVersioning: true,
            // What waits for weeks moves on to the current version; an upgrade says of itself that it is pinned.
            defaultVersioningBehavior: 'AUTO_UPGRADE',
          },
        }),
  } satisfies Partial<WorkerOptions>;
  // Encryption brings a failure converter along, which the build's bundle does not hold.
  const isPlain = options.dataConverter?.failureConverterPath === undefined;
  const bundle = options.workflowBundle ?? (isPlain ? builtBundle() : null);
  const { workflowsPath, ...bundlerOptions } = BUNDLE;
  const all: WorkerOptions[] = settings.UPLIFT_QUEUES.flatMap((name) => {
    const own = name === 'main' ? undefined : name;
    const reads = {
      ...common,
      taskQueue: queueOf('main', own),
      activities: { ...activities.reads },
      maxConcurrentActivityTaskExecutions: settings.UPLIFT_READ_SLOTS,
    };
    const workflows = {
      ...(bundle === null ? { workflowsPath, bundlerOptions } : { workflowBundle: bundle }),
      maxConcurrentWorkflowTaskExecutions: settings.UPLIFT_WORKFLOW_SLOTS,
      maxCachedWorkflows: settings.UPLIFT_CACHED_WORKFLOWS,
      // How long a workflow task waits for the worker that has the workflow in memory before any other may take it: a dead
      // one costs this once; a live one takes it within milliseconds. Another one replays the history, which is safe.
      stickyQueueScheduleToStartTimeout: '2s',
    } satisfies Partial<WorkerOptions>;
    return [
      own === undefined ? { ...reads, ...workflows } : reads,
      {
        ...common,
        taskQueue: queueOf('submit', own),
        activities: { ...activities.submits },
        maxConcurrentActivityTaskExecutions: settings.UPLIFT_SUBMIT_SLOTS,
      },
      {
        ...common,
        taskQueue: queueOf('wait', own),
        activities: { ...activities.waits },
        maxConcurrentActivityTaskExecutions: settings.UPLIFT_WAIT_SLOTS,
      },
    ];
  });
  const workers = await Promise.all(all.map((one) => Worker.create(one)));
  return {
    shutdown: () => {
      shutDown(workers);
    },
    states: () => workers.map((worker) => worker.getState()),
    run: () =>
      runTogether(workers, {
        clock: systemClock,
        timeoutMs: settings.UPLIFT_SHUTDOWN_TIMEOUT,
        ...(options.failureOf === undefined ? {} : { failureOf: options.failureOf }),
      }),
  };
}
