import type { Client } from '@temporalio/client';
import type { Command } from 'commander';
import { mapAtOnce } from '../../temporal/reads.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import {
  type OutputOptions,
  print,
  printJson,
  say,
  type ServerOptions,
  stdoutPaint,
  stdoutWidth,
  withClient,
  withOutputOption,
  withRunOption,
  withServerOptions,
} from '../context.js';
import { UsageError } from '../errors.js';
import { exitCodeOf, EXIT } from '../exit-codes.js';
import { forecastRollout, type RolloutForecast } from '../forecast.js';
import { readLearned } from '../learned.js';
import { renderForecast } from '../render/forecast.js';
import { upgradesOf } from '../inventory.js';
import { renderRollout, renderRows } from '../render/rollout.js';
import { renderRollouts } from '../render/rollouts.js';
import { moment } from '../render/text.js';
import { listRollouts } from '../rollouts.js';
import { readRows } from '../rows.js';
import { hasEnded, type ResourceRow, type RolloutView } from '../views.js';

interface StatusOptions extends OutputOptions, ServerOptions {
  readonly all?: true;
  readonly run?: string;
}

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .argument('[rollout]', "rollout's id; without it, the latest rollouts are listed")
    .description('where a rollout stands: what, next change, why')
    .option('--all', 'every resource, not only those in flight or failed')
    .action(async (rollout: string | undefined, options: StatusOptions) => {
      if (rollout === undefined && options.all === true) {
        throw new UsageError('--all shows every resource of a rollout: name the rollout');
      }
      if (rollout === undefined && options.run !== undefined) {
        throw new UsageError('--run chooses a run of a rollout: name the rollout');
      }
      process.exitCode = rollout === undefined ? await list(options) : await status(rollout, options);
    });
  withOutputOption(withRunOption(withServerOptions(command)));
}

async function status(rollout: string, options: StatusOptions): Promise<number> {
  return withClient(options, async (client) => {
    const { input, view, rows } = await readRows(client, rollout, { run: options.run });
    const forecast = hasEnded(view) ? null : await forecastNow(client, input, { view, rows });
    if (options.output === 'json') printJson({ version: 1, rollout: view, resources: rows, forecast });
    else {
      const screen = { width: stdoutWidth(), height: Infinity, now: Date.now(), paint: stdoutPaint() };
      if (options.run !== undefined)
        print(`run ${view.runId}, started at ${moment(view.startedAt)} by ${view.startedBy}`);
      print(renderRollout(view, rows, screen));
      if (forecast !== null) print(['', ...renderForecast(forecast, screen.width, screen.paint)].join('\n'));
      if (options.all === true) print(`\n${renderRows(rows, screen, forecast)}`);
    }
    return exitCodeOf(view);
  });
}

/** `null` for one that starts nothing more. */
async function forecastNow(
  client: Client,
  input: RolloutInput,
  seen: { readonly view: RolloutView; readonly rows: readonly ResourceRow[] },
): Promise<RolloutForecast | null> {
  const [lists, learned] = await Promise.all([
    mapAtOnce(input.waves, (wave) => upgradesOf(client, wave)),
    readLearned(client),
  ]);
  return forecastRollout(input, lists, seen, learned, Date.now());
}

async function list(options: StatusOptions): Promise<number> {
  return withClient(options, async (client) => {
    const rollouts = await listRollouts(client);
    if (options.output === 'json') printJson({ version: 1, rollouts });
    else if (rollouts.length === 0) say('there is no rollout yet: `uplift apply PLAN` starts one');
    else print(renderRollouts(rollouts, stdoutWidth(), Date.now(), stdoutPaint()));
    return EXIT.done;
  });
}
