import { setTimeout as delay } from 'node:timers/promises';
import { type Client, isGrpcServiceError } from '@temporalio/client';
import type { Command } from 'commander';
import { createLogUpdate } from 'log-update';
import {
  type OutputOptions,
  parseDuration,
  say,
  type ServerOptions,
  stdoutPaint,
  withClient,
  withOutputOption,
  withServerOptions,
} from '../context.js';
import { errorLines } from '../errors.js';
import { changesSince, type Seen, WATCH_VERSION, type WatchEvent } from '../events.js';
import { exitCodeOf, EXIT } from '../exit-codes.js';
import { renderFoot, renderRollout } from '../render/rollout.js';
import { describeRollout } from '../runs.js';
import { readRows } from '../rows.js';
import { rolloutPage, uiBase } from '../ui.js';
import { hasEnded } from '../views.js';

export interface WatchOptions extends OutputOptions {
  /** Milliseconds. */
  readonly timeout?: number;
  /** The rollout's page in the UI; `null` when it is not known. */
  readonly ui: string | null;
}

/** Between two looks; a look that takes long is followed by a pause as long, so that watching is never a load. */
const LOOK_EVERY_MS = 1_000;
const LOOK_WITHIN_MS = 15_000;
/** Clears the screen, not what was scrolled off, and goes to its top. */
const CLEAR_SCREEN = '\u001b[2J\u001b[H';

export function addWatch(program: Command): void {
  const command = program
    .command('watch')
    .argument('<rollout>', "rollout's id")
    .description(
      'follow a rollout to its end: a live table on a terminal, NDJSON elsewhere; Ctrl-C leaves, the rollout goes on',
    )
    .option('--timeout <duration>', 'leave after this time, exit code 124', parseDuration)
    .action(async (rollout: string, options: OutputOptions & ServerOptions & { readonly timeout?: number }) => {
      process.exitCode = await withClient(options, async (client, target) => {
        const run = await describeRollout(client, rollout);
        const base = await uiBase(target, process.env);
        const ui = base === null ? null : rolloutPage(base, target.namespace, run);
        return watch(client, rollout, { ...options, ui });
      });
    });
  withOutputOption(withServerOptions(command));
}

/** Where a watch shows what it sees. */
interface Display {
  show(seen: Seen, trouble: string | null): void;
  end(seen: Seen, exitCode: number): void;
  leave(): void;
}

/**
 * Follows a rollout until it ends, the time is up, or somebody leaves; never changes anything. A server that goes away
 * meanwhile is waited for.
 *
 * @returns the rollout's exit code; 124 after a time-out, 5 after Ctrl-C
 * @throws UnknownRolloutError, or the first look's error
 */
export async function watch(client: Client, rollout: string, options: WatchOptions): Promise<number> {
  const leaving = new AbortController();
  const left = new Promise<null>((resolve) => {
    leaving.signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  const leave = () => leaving.abort();
  // Listening on: a listener that goes would leave the signal to others, and they would end the process.
  process.on('SIGINT', leave).on('SIGTERM', leave);
  const live = process.stdout.isTTY && options.output === 'table';
  if (live && options.ui !== null) say(options.ui);
  const display = live ? liveTable() : ndjson(rollout, options.ui);
  const deadline = Date.now() + (options.timeout ?? Infinity);
  let last: Seen | null = null;
  try {
    for (;;) {
      const startedAt = Date.now();
      const seen: Seen | string | null = await Promise.race([lookAgain(client, rollout, last), left]);
      if (seen === null) {
        display.leave();
        say(comeBack(rollout));
        return EXIT.waiting;
      }
      if (typeof seen === 'string') {
        if (last !== null) display.show(last, seen);
      } else if (hasEnded(seen.view)) {
        const exitCode = exitCodeOf(seen.view);
        display.end(seen, exitCode);
        say(`ended: ${seen.view.state}; the whole story: \`uplift report ${rollout}\``);
        return exitCode;
      } else {
        display.show(seen, null);
        last = seen;
      }
      const remaining = deadline - Date.now();
      if (remaining <= 0) {
        display.leave();
        say(`watched for as long as --timeout said. ${comeBack(rollout)}`);
        return EXIT.watchTimedOut;
      }
      const pause = Math.max(LOOK_EVERY_MS, Date.now() - startedAt);
      await delay(Math.min(pause, remaining), undefined, { signal: leaving.signal }).catch(() => null);
    }
  } finally {
    process.off('SIGINT', leave).off('SIGTERM', leave);
  }
}

/** What there is to see; after the first look, a server that does not answer is a line that says so. */
async function lookAgain(client: Client, rollout: string, last: Seen | null): Promise<Seen | string> {
  try {
    // Bounded, since the SDK goes on trying for long: a server that is gone has to be told in time.
    return await client.withDeadline(Date.now() + LOOK_WITHIN_MS, () => readRows(client, rollout));
  } catch (error) {
    if (last === null || !isOutage(error)) throw error;
    return `${errorLines(error)[0]?.replace(/^uplift: | \([^()]*\)$/g, '') ?? ''}; trying again`;
  }
}

function comeBack(rollout: string): string {
  return `The rollout goes on; come back by \`uplift watch ${rollout}\`.`;
}

function liveTable(): Display {
  const update = createLogUpdate(process.stdout);
  const screen = () => ({
    width: process.stdout.columns,
    // One line for the foot, one for the cursor.
    height: process.stdout.rows - 3,
    now: Date.now(),
    paint: stdoutPaint(),
  });
  let last: { readonly seen: Seen; readonly trouble: string | null } | null = null;
  const draw = () => {
    if (last === null) return;
    const { seen, trouble } = last;
    const { view, rows } = seen;
    update([renderRollout(view, rows, screen(), trouble), '', renderFoot(view, screen())].join('\n'));
  };
  // A narrower terminal has broken the frame's lines anew, so that it cannot be erased line by line.
  const redraw = () => {
    update.clear();
    process.stdout.write(CLEAR_SCREEN);
    draw();
  };
  process.stdout.on('resize', redraw);
  const done = () => {
    process.stdout.off('resize', redraw);
    update.done();
  };
  return {
    show: (seen, trouble) => {
      last = { seen, trouble };
      draw();
    },
    end: (seen) => {
      // Nothing has to fit any more: the last frame stays in the scroll-back, whole.
      update(renderRollout(seen.view, seen.rows, { ...screen(), height: Infinity }));
      done();
    },
    leave: done,
  };
}

function ndjson(rollout: string, ui: string | null): Display {
  const write = (event: WatchEvent) => process.stdout.write(`${JSON.stringify(event)}\n`);
  let before: Seen | null = null;
  let said: string | null = null;
  const show = (seen: Seen) => {
    if (before === null) write({ type: 'start', version: WATCH_VERSION, rollout, ui });
    changesSince(before, seen).forEach(write);
    before = seen;
  };
  return {
    show: (seen, trouble) => {
      if (trouble !== null && trouble !== said) say(trouble);
      said = trouble;
      if (trouble === null) show(seen);
    },
    end: (seen, exitCode) => {
      show(seen);
      write({ type: 'end', rollout: seen.view, exitCode });
    },
    leave: () => undefined,
  };
}

/** A server that does not answer now and may again: any gRPC error but one that names what was asked. */
function isOutage(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) if (isGrpcServiceError(inner)) return true;
  return false;
}
