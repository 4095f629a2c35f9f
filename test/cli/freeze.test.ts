/** `uplift freeze` as a process, on a server without any worker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cause } from '../../client/explain.js';
import { reachLine, reachOf } from '../../client/freeze-reach.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { Cover, Freeze } from '../../workflows/contracts/freezes.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput } from '../workflows/scripted-steps.js';
import { type Ended, linesOf, rehearsal, uplift } from './cli.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const run = (actor: string, ...args: string[]): Promise<Ended> =>
  uplift(args, { TEMPORAL_ADDRESS: env.server.address, UPLIFT_ACTOR: actor });

const UNTIL = '2099-01-01T00:00 Europe/Berlin';
const SOUND = { '--scope': 'all', '--until': UNTIL, '--reason': 'audit' } as const;

function create(options: Partial<Record<keyof typeof SOUND | '--except', string | null>> = {}): Promise<Ended> {
  const all = Object.entries({ ...SOUND, ...options }).flatMap(([name, value]) =>
    value === null ? [] : [name, value],
  );
  return run('ana', 'freeze', 'create', ...all);
}

describe('bad input is refused in one clear line', () => {
  it.each<[string, Parameters<typeof create>[0], RegExp]>([
    ['no end', { '--until': null }, /required option '--until <time>' not specified/],
    ['an end in the past', { '--until': '2020-01-01T00:00Z' }, /It is in the past: 2020-01-01T00:00:00\.000Z\./],
    ['an end without a zone', { '--until': '2099-01-01T00:00' }, /"2099-01-01T00:00" is no instant: write 2026-/],
    ['a day that does not exist', { '--until': '2099-02-30T00:00 Europe/Berlin' }, /is no instant/],
    ['an abbreviated zone', { '--until': '2099-01-01T00:00 CET' }, /"CET" is an abbreviation, not a place: write/],
    ['an end in words', { '--until': 'tomorrow' }, /"tomorrow" is no instant/],
    ['no scope', { '--scope': null }, /required option '--scope <scope>' not specified/],
    ['a scope that is a word', { '--scope': 'prod' }, /"prod" is no scope: write all, or KEY=VALUE as in account=prod/],
    [
      'a key that there is not',
      { '--scope': 'acount=prod' },
      /"acount" is nothing to freeze by \(did you mean account\?/,
    ],
    ['a service that there is not', { '--scope': 'service=gess' }, /There is no service "gess" \(did you mean ges\?/],
    ['an empty value', { '--scope': 'account=' }, /account has no value/],
    ['a tag without a value', { '--except': 'tag=env' }, /Write a tag as tag=NAME=VALUE, not "tag=env"/],
    ['no reason', { '--reason': ' ' }, /--reason is empty/],
  ])('%s', async (_, options, expected) => {
    const { code, stdout, stderr } = await create(options);
    expect(stdout).toBe('');
    expect(code).toBe(1);
    expect(linesOf(stderr)[0]).toMatch(expected);
    expect((await run('ana', 'freeze', 'list')).stderr).toBe('nothing is frozen\n');
  });
});

it('holds, is told everywhere and is lifted by a second person, with no worker at all', async () => {
  await env.client.workflow.start('rollout', {
    workflowId: rolloutWorkflowId('spring'),
    taskQueue: QUEUES.main,
    args: [rolloutInput('spring', { ids: ['g1', 'g2', 'g3'], concurrency: 5 }, { max: 1, mode: 'strict' })],
  });
  const made = await create({ '--scope': 'account=prod,service=ges', '--except': 'rollout=spring,resource=g3' });
  const id = made.stdout.trim();
  expect(made.code).toBe(0);
  expect(linesOf(made.stderr).at(-1)).toBe('it holds 2 upgrades of 1 running rollout (spring)');
  expect(id).toMatch(/^freeze-[0-9a-f]{8}$/);

  const list = await run('ben', 'freeze', 'list', '-o', 'json');
  const expected = {
    id,
    scope: [{ account: ['prod'], service: ['ges'] }],
    except: [{ rollout: ['spring'], resource: ['g3'] }],
    until: '2098-12-31T23:00:00.000Z',
    owner: 'ana',
    reason: 'audit',
    holds: true,
  };
  expect((JSON.parse(list.stdout) as { freezes: Freeze[] }).freezes).toMatchObject([expected]);

  const label = `frozen until 2098-12-31T23:00:00.000Z by ana because audit (${id})`;
  const explained = await run('ben', 'explain', 'spring', '-o', 'json');
  const { causes } = JSON.parse(explained.stdout) as { causes: Cause[] };
  expect(causes.find(({ who }) => who === id)).toMatchObject({
    nextAt: '2098-12-31T23:00:00.000Z',
    changes: `its end; or somebody other than ana: uplift freeze lift ${id} --reason …`,
  });
  expect(causes.find(({ who }) => who === id)?.what).toContain(`2 ${label}`);
  expect((await run('ben', 'status', 'spring', '--all')).stdout).toContain(`2 ${label}`);
  expect((await run('ben', 'report', 'spring')).stdout).toContain(`| \`${id}\` | account=prod, service=ges, except`);

  const own = await run('ana', 'freeze', 'lift', id, '--reason', 'changed my mind');
  expect(own.code).toBe(1);
  expect(linesOf(own.stderr)).toEqual([`uplift: ana created ${id}: a second person has to lift it early`]);
  expect((await run('ben', 'freeze', 'lift', 'freeze-none', '--reason', 'x')).stderr).toContain(
    'there is no freeze freeze-none',
  );
  expect((await run('ben', 'freeze', 'lift', id, '--reason', 'audit is over')).stderr).toBe(
    `${id} is lifted: what it held goes on\n`,
  );
  expect((await run('ben', 'freeze', 'list')).stderr).toBe('nothing is frozen\n');
  expect((await run('ben', 'freeze', 'list', '--all')).stdout).toContain('by ben: audit is over');
});

it('says what it holds of what runs, that it covers nothing of it, or that nothing runs', async () => {
  const holds = (scope: Cover) => reachOf(env.client, { scope: [scope], except: [] });
  expect(await holds({ resource: ['g3'] })).toEqual({
    running: 1,
    reached: [{ rollout: 'spring', held: 1, followed: 0 }],
  });
  expect(reachLine(await holds({ account: ['prud'] }))).toBe('it covers nothing of the 1 rollout that runs');
  await env.client.workflow.getHandle(rolloutWorkflowId('spring')).terminate();
  await expect
    .poll(async () => reachLine(await holds({})), { timeout: 30_000 })
    .toBe('no rollout runs: it holds what is started until its end');
});

it('shuts the calendar of a plan', async () => {
  const place = await rehearsal('--seed', 'frozen', '--graphs', '2', '--clusters', '0');
  try {
    const id = (await create({ '--scope': 'service=ges' })).stdout.trim();
    const { code, stdout } = await run('ana', 'calendar', place.plan, '--accounts', place.accounts);
    expect(stdout).toContain(`(frozen until 2098-12-31T23:00:00.000Z by ana because audit (${id}))`);
    expect(code).toBe(5);
    await run('ben', 'freeze', 'lift', id, '--reason', 'audit is over');
    const after = await run('ana', 'calendar', place.plan, '--accounts', place.accounts);
    expect(after.stdout).toContain('open at any time');
    expect(after.code).toBe(0);
  } finally {
    await place.dispose();
  }
});
