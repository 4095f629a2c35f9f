/** Processes that end unasked are started again, until they are asked to end. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { supervise, type Running } from '../../client/supervisor.js';

interface Process extends Running {
  readonly end: (how: string) => void;
  stopped: boolean;
}

/** Node.js 20 has no `Promise.withResolvers`. */
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function processOf(pid: number): Process {
  const { promise, resolve } = withResolvers<string>();
  const made: Process = {
    pid,
    ended: promise,
    end: resolve,
    stopped: false,
    stop: async () => {
      made.stopped = true;
      resolve('asked');
      await promise;
    },
  };
  return made;
}

it('stops the one that is being started when it is asked to stop meanwhile', async () => {
  const first = processOf(1);
  const second = processOf(2);
  const starting = withResolvers<Process>();
  const asked: string[] = [];
  const starts = [Promise.resolve(first), starting.promise];
  const supervised = await supervise(
    'it',
    () => {
      asked.push('start');
      return starts.shift() ?? Promise.reject(new Error('a third one'));
    },
    () => {},
  );
  first.end('SIGKILL');
  while (asked.length < 2) await turn();
  const stopped = supervised.stop();
  starting.resolve(second);
  await stopped;
  expect(second.stopped).toBe(true);
});
