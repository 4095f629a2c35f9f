/** `uplift worker status | promote | drain`: which build of the workers gets the tasks. */
import { type Command, Option } from 'commander';
import { actor } from '../actor.js';
import {
  type AccountsOptions,
  durationOption,
  type OutputOptions,
  parseDuration,
  print,
  printJson,
  say,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withAccountsOption,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { deployment, deployments, type DeploymentView, drain, promote } from '../deployments.js';
import { UsageError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { ownQueues } from '../own-queues.js';
import { identitiesOf, servedQueues } from '../queues.js';
import { renderDeployment } from '../render/deployment.js';

interface Options extends AccountsOptions, OutputOptions, ServerOptions {
  readonly deployment?: string;
}

export function addVersions(worker: Command): void {
  worker.enablePositionalOptions();
  const status = worker
    .command('status')
    .description('the workers by deployment and build: who gets what is new, and what older builds have still to end')
    .action(async (options: Options) => {
      await withClient(options, async (client) => {
        const { deployment: name } = options;
        const own = ownQueues(options.accounts);
        const polled = await servedQueues(client, own);
        const views = name === undefined ? await deployments(client, polled) : [await deployment(client, name, own)];
        const unversioned = identitiesOf(
          polled.flatMap(({ pollers }) => pollers.filter(({ version }) => version === null)),
        );
        tell(options, { deployments: views, unversioned });
      });
    });
  const promoting = worker
    .command('promote')
    .argument('[build]', "build id (default: UPLIFT_BUILD_ID, or this installation's own)")
    .description('make a build the one that gets what is new, once its workers have polled every queue anew')
    .option('--unversioned', 'the workers without a deployment instead: versioning is turned off')
    .addOption(
      durationOption(
        '--timeout <duration>',
        'wait for its workers for this long; an idle one polls once a minute',
        '90s',
      ),
    )
    .action(async (build: string | undefined, options: Options & { unversioned?: true; timeout: number }) => {
      if (options.unversioned === true && build !== undefined) {
        throw new UsageError('a build and --unversioned exclude each other (leave one of them out)');
      }
      const name = nameOf(options);
      const buildId = options.unversioned === true ? null : (build ?? (await ownBuild()));
      const own = ownQueues(options.accounts, () => {
        say(`${options.accounts} cannot be used, so queues that accounts name are not looked at (see uplift doctor)`);
      });
      await withClient(options, async (client) => {
        const asked = { own, actor: actor(), waitMs: options.timeout, told: say };
        const before = await promote(client, name, buildId, asked);
        tell(options, { deployments: [await deployment(client, name, own)] });
        if (before === buildId) say('it was current already');
        else if (before !== null) say(`${before} keeps the upgrades that began on it: uplift worker drain ${before}`);
      });
    });
  const draining = worker
    .command('drain')
    .argument('[build]', 'build id (default: every build that is not current any more)')
    .description('wait until the upgrades that began on a build have ended; then its workers can be ended')
    .option('--timeout <duration>', 'give up after this time, exit code 124', parseDuration)
    .action(async (build: string | undefined, options: Options & { timeout?: number }) => {
      const name = nameOf(options);
      const own = ownQueues(options.accounts);
      process.exitCode = await withClient(options, async (client) => {
        const isDrained = await drain(client, name, build ?? null, {
          own,
          timeoutMs: options.timeout ?? Infinity,
          told: say,
        });
        tell(options, { deployments: [await deployment(client, name, own)] });
        if (!isDrained) return EXIT.watchTimedOut;
        say('drained: the workers of builds that are not current can be ended');
        return EXIT.done;
      });
    });
  for (const command of [status, promoting, draining]) {
    command.addOption(new Option('--deployment <name>', 'worker deployment').env('UPLIFT_DEPLOYMENT'));
    withOutputOption(withServerOptions(withAccountsOption(command)));
  }
}

function nameOf({ deployment: name }: Options): string {
  if (name !== undefined && name !== '') return name;
  throw new UsageError('which worker deployment? (name it by --deployment or UPLIFT_DEPLOYMENT)');
}

async function ownBuild(): Promise<string> {
  const told = process.env['UPLIFT_BUILD_ID'];
  if (told) return told;
  // It is a worker's own code, which takes a moment to load.
  const { ownBuildId } = await import('../../worker/bundle.js');
  return ownBuildId();
}

interface Told {
  readonly deployments: readonly DeploymentView[];
  /** Identities of the workers without a deployment, where they were looked for. */
  readonly unversioned?: readonly string[];
}

function tell({ output }: OutputOptions, told: Told): void {
  if (output === 'json') return printJson({ version: 1, ...told });
  const { deployments: views, unversioned = [] } = told;
  for (const view of views) print(renderDeployment(view, stdoutWidth(), stdoutPaint()));
  if (unversioned.length > 0) print(`without a deployment: ${unversioned.join(', ')}`);
  if (views.length === 0 && unversioned.length === 0) say('no worker is there (start one: uplift worker)');
}
