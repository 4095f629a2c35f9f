/** The workers of one process: one per task queue, with slots of their own. */
import type { DataConverter } from '@temporalio/common';
import { type NativeConnection, Worker, type WorkerOptions, type WorkflowBundleOption } from '@temporalio/worker';
import { createActivities } from '../activities/index.js';
import type { StepDeps } from '../activities/step.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import { builtBundle, WORKFLOWS_PATH } from './bundle.js';
import { scrubbing, scrubbingInterceptor } from './scrubbing.js';

export interface WorkersOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly deps: StepDeps;
  /** A bundle made before; without it the build's, or else the workflows are bundled here (seconds on a busy machine). */
  readonly workflowBundle?: WorkflowBundleOption;
  readonly identity?: string;
  /** As the clients have it: workflows are bundled with its failure converter. */
  readonly dataConverter?: DataConverter;
}

/**
 * Slots are fixed numbers: a precheck waits for its account's turn, and a wait is a timer and an occasional request, so
 * a thousand are cheap, and one slow account leaves room for the others; a submit holds its slot for seconds; a cached
 * workflow costs about 0.3 MB (measured).
 */
const SLOTS = { reads: 2_000, submits: 50, waits: 2_000, workflowTasks: 40, cachedWorkflows: 1_000 };

/** The workers for all three queues; `run` resolves when they were shut down. */
export async function createWorkers(options: WorkersOptions): Promise<{ run(): Promise<void>; shutdown(): void }> {
  const activities = createActivities(options.deps);
  const common = {
    connection: options.connection,
    namespace: options.namespace,
    ...(options.identity === undefined ? {} : { identity: options.identity }),
    dataConverter: scrubbing(options.dataConverter),
    interceptors: { activity: [() => ({ inbound: scrubbingInterceptor })] },
    // No grace: a wait is handed over at once, and a send under way is finished, since it does not listen.
    shutdownGraceTime: 0,
    shutdownForceTime: '60s',
  } satisfies Partial<WorkerOptions>;
  // Encryption brings a failure converter along, which the build's bundle does not hold.
  const isPlain = options.dataConverter?.failureConverterPath === undefined;
  const bundle = options.workflowBundle ?? (isPlain ? builtBundle() : null);
  const workers = await Promise.all([
    Worker.create({
      ...common,
      taskQueue: QUEUES.main,
      ...(bundle === null ? { workflowsPath: WORKFLOWS_PATH } : { workflowBundle: bundle }),
      activities: { ...activities.reads },
      maxConcurrentActivityTaskExecutions: SLOTS.reads,
      maxConcurrentWorkflowTaskExecutions: SLOTS.workflowTasks,
      maxCachedWorkflows: SLOTS.cachedWorkflows,
      // How long a workflow task waits for the worker that has the workflow in memory before any other may take it: a dead
      // one costs this once; a live one takes it within milliseconds. Another one replays the history, which is safe.
      stickyQueueScheduleToStartTimeout: '2s',
    }),
    Worker.create({
      ...common,
      taskQueue: QUEUES.submit,
      activities: { ...activities.submits },
      maxConcurrentActivityTaskExecutions: SLOTS.submits,
    }),
    Worker.create({
      ...common,
      taskQueue: QUEUES.wait,
      activities: { ...activities.waits },
      maxConcurrentActivityTaskExecutions: SLOTS.waits,
    }),
  ]);
  const shutdown = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  return {
    shutdown,
    run: async () => {
      try {
        // One that fails takes the others down: half a worker would look alive and do half the work.
        await Promise.all(
          workers.map((worker) =>
            worker.run().catch((error: unknown) => {
              shutdown();
              throw error;
            }),
          ),
        );
      } finally {
        shutdown();
      }
    },
  };
}
