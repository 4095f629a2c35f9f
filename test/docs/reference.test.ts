/** The reference is made from tables; nothing that the code reads may be missing in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMPOSE_VARIABLES, VARIABLES } from '../../client/variables.js';
import { WORKER_VARIABLES } from '../../worker/settings.js';

const ROOT = new URL('../../', import.meta.url);

it('names every variable of ours that the code reads, and no other', () => {
  const sources = ['activities', 'client', 'plan', 'temporal', 'worker'].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, ROOT), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !/(^|\/)(variables|settings)\.ts$/.test(name))
      .map((name) => readFileSync(new URL(`${folder}/${name}`, ROOT), 'utf8')),
  );
  const read = new Set(sources.flatMap((text) => text.match(/\bUPLIFT_[A-Z]+(_[A-Z]+)*\b/g) ?? []));
  const told = [...Object.keys(VARIABLES), ...Object.keys(WORKER_VARIABLES.shape)];
  expect([...read].filter((name) => !told.includes(name))).toEqual([]);
  const ours = told.filter((name) => name.startsWith('UPLIFT_'));
  // A level of the log, a slot: these are read through the table itself.
  const unread = ours.filter((name) => !read.has(name) && !(name in WORKER_VARIABLES.shape));
  expect(unread).toEqual([]);
});

it('names every variable that docker-compose.yml asks its caller for, and no other', () => {
  const compose = readFileSync(new URL('docker-compose.yml', ROOT), 'utf8');
  const asked = [...compose.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name);
  expect(new Set(asked)).toEqual(new Set(Object.keys(COMPOSE_VARIABLES)));
});
