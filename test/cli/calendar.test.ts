/** `uplift calendar` and the openings that `uplift plan` shows, as real processes. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { rehearsal, type Rehearsal, uplift } from './cli.js';

let place: Rehearsal;
let plan: string;

beforeAll(async () => {
  place = await rehearsal('--seed', 'windows', '--graphs', '2', '--clusters', '1');
  const document = parse(readFileSync(place.plan, 'utf8')) as { spec: Record<string, unknown> };
  document.spec['windows'] = [
    { name: 'new year', rrule: 'FREQ=YEARLY', start: '2030-01-01T22:00', duration: '2h', timezone: 'Europe/Berlin' },
  ];
  document.spec['blackouts'] = [{ reason: 'change freeze', dates: ['2032-01-01'], timezone: 'Europe/Berlin' }];
  plan = join(place.directory, 'windows.yaml');
  writeFileSync(plan, stringify(document));
});
afterAll(() => place.dispose());

it('says what is shut, why, and the next openings, in the zone of the window', async () => {
  const args = ['calendar', plan, '--accounts', place.accounts, '--next', '2'];
  const shut = await uplift([...args, '--at', '2030-06-01T12:00Z']);
  expect(shut.stderr).toBe('');
  const head = 'Shut since Wed 2030-01-02 00:00 CET, opens Wed 2031-01-01 22:00 CET (outside every window)';
  expect(shut.stdout).toContain(`3 resources (ges-v1, ges-v2, elasticsearch)\n${head}`);
  expect(shut.stdout).toMatch(/Wed 2031-01-01 22:00 CET +Thu 2031-01-02 00:00 CET +2 h +new year/);
  // The one of 2032 is blacked out.
  expect(shut.stdout).toContain('Sat 2033-01-01 22:00 CET');
  expect(shut.code).toBe(5);

  const open = await uplift([...args, '--at', '2031-01-01T22:30+01:00', '-o', 'json']);
  expect(JSON.parse(open.stdout)).toMatchObject({
    version: 1,
    calendars: [
      {
        for: '3 resources (ges-v1, ges-v2, elasticsearch)',
        zone: 'Europe/Berlin',
        open: true,
        since: '2031-01-01T21:00:00.000Z',
        until: '2031-01-01T23:00:00.000Z',
        reason: 'window new year',
        openings: [{ windows: ['new year'] }, { opens: '2033-01-01T21:00:00.000Z' }],
      },
    ],
  });
  expect(open.code).toBe(0);

  const denied = await uplift([...args, '--at', '2032-01-01T22:30+01:00']);
  expect(denied.stdout).toContain('(blackout: change freeze)');
});

it('says that startBy has passed, which no rollout could be applied with', async () => {
  const document = parse(readFileSync(plan, 'utf8')) as { spec: Record<string, unknown> };
  document.spec['startBy'] = '2020-01-01T00:00:00Z';
  const late = join(place.directory, 'late.yaml');
  writeFileSync(late, stringify(document));
  const { code, stdout } = await uplift(['calendar', late, '--accounts', place.accounts]);
  expect(stdout).toContain('and never opens (startBy 2020-01-01T00:00:00.000Z has passed');
  expect(code).toBe(5);
  expect((await uplift(['validate', late, '--accounts', place.accounts])).stderr).toContain('has passed');
});

it.each(['2031-01-01T22:30', '2031-02-30T22:30Z'])('refuses %s, which is no instant', async (at) => {
  const { code, stderr } = await uplift(['calendar', plan, '--accounts', place.accounts, '--at', at]);
  expect(stderr).toContain(`"${at}" is no instant: write 2026-12-24T18:00+01:00, or "2026-12-24T18:00 Europe/Berlin"`);
  expect(code).toBe(1);
});

it('shows the next openings in the plan', async () => {
  const { stdout } = await uplift(['plan', plan, '--accounts', place.accounts]);
  expect(stdout).toContain(
    'Submits for 3 resources (ges-v1, ges-v2, elasticsearch): Tue 2030-01-01 22:00 CET until Wed 2030-01-02 00:00 CET; ' +
      'Wed 2031-01-01 22:00 CET until Thu 2031-01-02 00:00 CET',
  );
});
