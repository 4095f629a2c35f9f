/** What people say reaches others' terminals: nothing of it may be a command to them, and no word is lost for it. */
import { afterEach, expect, it, vi } from 'vitest';
import { actor } from '../../client/actor.js';
import { reasonWords } from '../../client/words.js';
import { controlRequestIn, saidBefore, whyUnsigned, wordsOf } from '../../workflows/contracts/control.js';
import { freezes } from '../../workflows/contracts/freezes.js';
import { quarantine } from '../../workflows/contracts/quarantine.js';

/** Red, a bell, a title for the window by C1, and DEL. */
const RAW = '\u001b[31mred\u001b[0m\u0007 two\tthree\r\nfour \u009d0;title\u009c\u007f';
const PLAIN = '[31mred[0m two three four 0;title';
const head = { requestId: 'entry-1', at: '2026-11-21T10:00:00.000Z' };

afterEach(() => {
  vi.unstubAllEnvs();
});

it('a reason on the command line is plain, and so is whoever gives it', () => {
  expect(reasonWords(RAW)).toBe(PLAIN);
  expect(reasonWords('schön 👩‍💻 \u00a0 計画')).toBe('schön 👩‍💻 計画');
  vi.stubEnv('UPLIFT_ACTOR', RAW);
  expect(actor()).toBe(PLAIN);
});

it.each(['pause', 'resume', 'stop'] as const)('a %s is made plain, and holds', (act) => {
  const request = { requestId: 'one', act, actor: RAW, reason: RAW };
  expect(controlRequestIn(request)).toEqual({ ...request, actor: PLAIN, reason: PLAIN });
  // Also where nothing of its words is left.
  expect(controlRequestIn({ ...request, actor: 'ana', reason: '\u0007' })).toMatchObject({ act, reason: '…' });
  expect(controlRequestIn({ ...request, reason: ' '.repeat(400) })).toMatchObject({ act, reason: '…' });
});

it('an act that is heard late is dated by when it was said, and tells both', () => {
  const heardAt = '2026-11-21T09:10:00.000Z';
  const words = (at?: unknown) => {
    const request = controlRequestIn({ requestId: 'one', act: 'stop', actor: 'ana', reason: 'an outage', at });
    if (request === null) throw new Error('no request');
    return wordsOf({ ...request, at: heardAt, ...saidBefore(request.at, Date.parse(heardAt)) });
  };
  const asHeard = `stopped by ana at ${heardAt}: an outage`;
  const asSaid = `stopped by ana at 2026-11-21T02:10:00.000Z (heard at ${heardAt}): an outage`;
  expect(words('2026-11-21T02:10:00Z')).toBe(asSaid);
  expect(words('2026-11-21T03:10:00+01:00')).toBe(asSaid);
  // By a clock that is a little late, or ahead; of who says no time, or none that is one.
  for (const at of [
    '2026-11-21T09:09:01Z',
    '2026-11-22T00:00:00Z',
    '2026-11-21T02:10:00',
    '1',
    undefined,
    '',
    'noon',
    7,
    {},
  ]) {
    expect(words(at)).toBe(asHeard);
  }
});

it.each([
  ['actor', { actor: 'a\u001bna', reason: 'a test' }],
  ['reason', { actor: 'ana', reason: 'a test\u0000' }],
] as const)("an update's %s is refused, since somebody can be told", (_which, signed) => {
  expect(whyUnsigned(signed)).toBe('its actor and its reason have no control characters');
  // Nor does one refusal change the next one.
  expect(whyUnsigned(signed)).not.toBeNull();
  expect(whyUnsigned({ actor: 'ana', reason: 'a test' })).toBeNull();
});

it("the ledger's words are plain", () => {
  const freeze = {
    id: 'freeze-1',
    scope: [{}],
    except: [],
    until: '2027-01-01T00:00:00.000Z',
    reason: RAW,
    owner: RAW,
  };
  const created = freezes.apply([], { kind: 'create', freeze }, head);
  expect(created).toMatchObject({ state: [{ owner: PLAIN, reason: PLAIN }] });
  const state = 'state' in created ? created.state : [];
  // As one that no client of ours sent: it holds all the same.
  const nameless = { kind: 'create', freeze: { ...freeze, owner: undefined as unknown as string } } as const;
  expect(freezes.apply([], nameless, head)).toMatchObject({ state: [{ owner: '…' }] });
  // Who created it is the same person, however it is written.
  expect(freezes.apply(state, { kind: 'lift', id: 'freeze-1', by: RAW, reason: 'over' }, head)).toHaveProperty(
    'refused',
  );
  expect(freezes.apply(state, { kind: 'lift', id: 'freeze-1', by: 'ben', reason: RAW }, head)).toMatchObject({
    state: [{ lifted: { by: 'ben', reason: PLAIN } }],
  });
  const last = { rollout: 'r', reason: 'HTTP 500', at: head.at };
  const failing = { g1: { failures: 3, since: head.at, last } };
  const release = { kind: 'release', workflowId: 'g1', by: RAW, reason: RAW } as const;
  expect(quarantine.apply(failing, release, head)).toMatchObject({
    state: { g1: { released: { by: PLAIN, reason: PLAIN } } },
  });
});
