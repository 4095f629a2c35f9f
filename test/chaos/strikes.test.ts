/** Strikes on real processes: when they are due, in the middle of a submit, and never on what is dead already. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { killsIn, type Strike, strike, SubmitGate } from '../../chaos/strikes.js';

const children: ChildProcess[] = [];
const start = (): number => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  children.push(child);
  return child.pid as number;
};
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const at = (atSubmits: number, kind: Strike['kind'], moment: Strike['moment'] = 'any'): Strike => {
  return { kind, atSubmits, afterMs: 0, moment, worker: 0, forMs: 50 };
};
const submit = { call: 'submit', family: 'ges', resource: 'graph', account: 'a' } as const;

it('come in order, as submits are accepted', async () => {
  const pids = { temporal: start(), workers: [start(), start()] };
  const [server, first, second] = children as [ChildProcess, ChildProcess, ChildProcess];
  const submits = new SubmitGate();
  let accepted = 0;
  let revoked = 0;
  const lines: string[] = [];
  const peace = new AbortController();
  const struck = strike(
    [
      at(1, 'kill -9 a worker'),
      at(1, 'revoke all tokens'),
      at(1, 'kill -9 both workers', 'processed'),
      at(2, 'stop a worker for a while'),
      at(2, 'kill -9 the server'),
      at(99, 'kill -9 a worker'),
    ],
    {
      accepted: () => accepted,
      pids: () => pids,
      revokeTokens: () => (revoked += 1),
      submits,
      report: (line) => lines.push(line),
    },
    peace.signal,
  );
  const ended = (child: ChildProcess) => once(child, 'exit').then(([, signal]) => signal as string);
  const firstEnded = ended(first);
  await submits.watch({ ...submit, point: 'arrived' });
  expect(lines).toEqual([]);
  accepted = 1;
  expect(await firstEnded).toBe('SIGKILL');

  // The dead worker's place is taken before both are struck, and then only once a submit is processed.
  pids.workers[0] = start();
  const third = children.at(-1) as ChildProcess;
  const bothEnded = Promise.all([ended(second), ended(third)]);
  while (submits.isOpen) await new Promise((resolve) => setTimeout(resolve, 10));
  await submits.watch({ ...submit, point: 'arrived' });
  await submits.watch({ ...submit, call: 'read', point: 'processed' });
  expect(lines.at(-1)).toContain('revoke all tokens');
  await submits.watch({ ...submit, point: 'processed' });
  expect(await bothEnded).toEqual(['SIGKILL', 'SIGKILL']);
  expect(revoked).toBe(1);

  pids.workers = [start(), start()];
  const serverEnded = ended(server);
  accepted = 2;
  expect(await serverEnded).toBe('SIGKILL');
  peace.abort();
  const counts = await struck;
  expect(counts).toEqual({
    'kill -9 a worker': 1,
    'revoke all tokens': 1,
    'kill -9 both workers': 1,
    'stop a worker for a while': 1,
    'kill -9 the server': 1,
  });
  expect(killsIn(counts)).toBe(4);
  // Whoever was stopped goes on: SIGTERM ends nobody who stands still.
  const last = children.slice(-2);
  const asked = Promise.all(last.map(ended));
  for (const child of last) child.kill('SIGTERM');
  expect(await asked).toEqual(['SIGTERM', 'SIGTERM']);
});
