/** What tests of workflows share: servers, workers, the workflow bundle. */
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import type {
  NativeConnection,
  WorkerOptions,
  WorkflowBundleOption,
  WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import { DefaultLogger, Runtime, Worker, bundleWorkflowCode } from '@temporalio/worker';
import { inject } from 'vitest';
import { connectClient, connectWorker, localTarget } from '../../temporal/connection.js';
import { startDevServer } from '../../temporal/dev-server.js';
import type { DevServer, DevServerOptions } from '../../temporal/dev-server.js';
import { freePorts } from '../../temporal/ports.js';
import { BUNDLE, builtBundle } from '../../worker/bundle.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { Program } from './global-setup.js';

const logger = new DefaultLogger('ERROR');
// The native client's warnings, except one at every start: that the test server lacks a new capability.
const filter =
  'error,temporalio_sdk_core=warn,temporalio_sdk_core::worker=error,temporalio_sdk_core::worker::workflow=warn';
Runtime.install({ logger, telemetryOptions: { logging: { filter } } });

/** IndexedValueType on the wire. */
const KEYWORD = 2;

/** A real Temporal server with a client and a connection for workers. */
export interface RealEnvironment {
  readonly server: DevServer;
  readonly client: Client;
  readonly nativeConnection: NativeConnection;
  readonly namespace: string;
  teardown(): Promise<void>;
}

/**
 * The server that skips the time in which nothing but timers would happen. Skipping stands still while an activity
 * runs, and one server's time is shared by all its workflows: one environment for each file of tests.
 */
export async function timeSkippingEnvironment(): Promise<TestWorkflowEnvironment> {
  const server = { executable: { type: 'existing-path', path: usable(inject('testServer')) } } as const;
  // The SDK gives it 5 s to start, which Java may miss again and again on a machine that is busy with other tests.
  const start = (triesLeft: number): Promise<TestWorkflowEnvironment> =>
    TestWorkflowEnvironment.createTimeSkipping({ server }).catch((error: unknown) => {
      if (triesLeft === 0) throw error;
      return start(triesLeft - 1);
    });
  const environment = await start(20);
  await environment.connection.operatorService.addSearchAttributes({
    namespace: environment.client.options.namespace,
    searchAttributes: Object.fromEntries(Object.values(ATTRIBUTES).map((key) => [key.name, KEYWORD])),
  });
  return environment;
}

/** A real dev server for one file of tests, on free ports, in memory unless `dbFile` is given; it is up in 0.3 s. */
export async function realEnvironment(options: Partial<DevServerOptions> = {}): Promise<RealEnvironment> {
  const server = await startTestServer(options);
  const target = localTarget(server.address);
  const client = await connectClient(target);
  const nativeConnection = await connectWorker(target);
  return {
    server,
    client,
    nativeConnection,
    namespace: target.namespace,
    teardown: async () => {
      await client.connection.close();
      await nativeConnection.close();
      await server.stop();
    },
  };
}

/** `startDevServer` with the program of this test run, free ports and fast timers. */
export function startTestServer(options: Partial<DevServerOptions> = {}): Promise<DevServer> {
  return startDevServer({ binary: serverBinary(), port: 0, uiPort: 0, fastTimers: true, ...options });
}

/** Path of the `temporal` program of this test run. */
export function serverBinary(): string {
  return usable(inject('temporal'));
}

/** Runs `body` while one worker serves. */
export async function withWorker<T>(options: WorkerOptions, body: () => Promise<T>): Promise<T> {
  const worker = await Worker.create(options);
  return worker.runUntil(body);
}

/** Today's workflows, whose steps may be silent for hours: for a clock that skips them. */
export function patientBundle(): Promise<WorkflowBundleWithSourceMap> {
  return bundleWorkflowCode({
    ...BUNDLE,
    workflowInterceptorModules: [fileURLToPath(new URL('patient-workflows.ts', import.meta.url))],
    logger,
  });
}

const bundles = new Map<string, Promise<WorkflowBundleOption>>();

/** Today's workflows as they were built; another entry file, or sources newer than that, bundled once in a file of tests. */
export async function workflowBundle(entry?: URL): Promise<WorkflowBundleOption> {
  const built = entry === undefined ? builtBundle() : null;
  if (built !== null) return built;
  const options = entry === undefined ? BUNDLE : { workflowsPath: fileURLToPath(entry) };
  const { workflowsPath } = options;
  const known = bundles.get(workflowsPath);
  if (known !== undefined) return known;
  const bundle = bundleWorkflowCode({ ...options, logger });
  bundles.set(workflowsPath, bundle);
  return bundle;
}

/** A port on loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  return (await freePorts(1))[0] as number;
}

function usable(program: Program): string {
  if (program.path === null) throw new Error(program.problem);
  return program.path;
}
