/** The workers of one process: one per task queue, with slots of their own. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { type NativeConnection, Worker, type WorkerOptions, type WorkflowBundleOption } from '@temporalio/worker';
import { createActivities } from '../activities/index.js';
import type { StepDeps } from '../activities/step.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import { scrubbing, scrubbingInterceptor } from './scrubbing.js';

export interface WorkersOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly deps: StepDeps;
  /** A bundle made before; without it the workflows are bundled here (under a second). */
  readonly workflowBundle?: WorkflowBundleOption;
  readonly identity?: string;
  /** As the clients have it: workflows are bundled with its failure converter. */
  readonly dataConverter?: DataConverter;
}

/** The source of the workflows, beside this file: TypeScript under test, JavaScript when built. */
export const WORKFLOWS_PATH = fileURLToPath(new URL(`../workflows/index${extname(import.meta.url)}`, import.meta.url));

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
  const bundle = options.workflowBundle;
  const workers = await Promise.all([
    Worker.create({
      ...common,
      taskQueue: QUEUES.main,
      ...(bundle === undefined ? { workflowsPath: WORKFLOWS_PATH } : { workflowBundle: bundle }),
      activities: { ...activities.reads },
      maxConcurrentActivityTaskExecutions: SLOTS.reads,
      maxConcurrentWorkflowTaskExecutions: SLOTS.workflowTasks,
      maxCachedWorkflows: SLOTS.cachedWorkflows,
      // How long a workflow task waits for a worker that died before any other may take it.
      stickyQueueScheduleToStartTimeout: '5s',
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
