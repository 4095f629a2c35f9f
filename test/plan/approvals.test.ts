/** Which approvals a plan asks for whatever its selectors choose. */
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { certainApprovals } from '../../plan/approvals.js';
import { parseSource } from '../../plan/source.js';

function askedIn(spec: object): string[] {
  return certainApprovals(parseSource(stringify({ spec }), 'plan.yaml')).flatMap(({ approvers }) => approvers);
}

const targets = [{ name: 'chosen', select: { name: '*' } }, { name: 'named', id: 'one' }, { ids: ['two', 'three'] }];
const wave = (approver: string, more: object) => ({ name: approver, approval: { approvers: [approver] }, ...more });

it('is certain of its own, of an only wave, and of waves that list a resource by id', () => {
  expect(askedIn({ targets, approval: { approvers: ['ana'] } })).toEqual(['ana']);
  expect(askedIn({ targets, waves: [wave('ana', { rest: true })] })).toEqual(['ana']);
  const waves = [
    wave('ana', { targets: ['chosen', 'named'] }),
    wave('ben', { targets: ['three'] }),
    wave('cem', { targets: ['chosen'] }),
    wave('dan', { percent: 5 }),
    wave('eve', { select: { region: 'north' } }),
    wave('fay', { rest: true }),
  ];
  expect(askedIn({ targets, waves })).toEqual(['ana', 'ben']);
});

it('takes roles for those who have them', () => {
  const approval = { approvers: ['role:dba'] };
  expect(askedIn({ targets, roles: { dba: ['ana', 'ben'] }, approval })).toEqual(['ana', 'ben']);
});
