/** What the documents point to is there: files, headings, commands with their options, npm scripts, variables. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { programFor } from '../../client/program.js';
import { COMPOSE_VARIABLES, VARIABLES } from '../../client/variables.js';
import { WORKER_VARIABLES } from '../../worker/settings.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SKIPPED = new Set(['node_modules', 'dist', '.git', '.uplift']);

const documents = readdirSync(ROOT, { withFileTypes: true })
  .filter(({ name }) => !SKIPPED.has(name))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(ROOT, entry.name), { recursive: true, encoding: 'utf8' }).map((name) => join(entry.name, name))
      : [entry.name],
  )
  .filter((name) => name.endsWith('.md'))
  .map((name) => ({ name, ...partsOf(readFileSync(join(ROOT, name), 'utf8')) }));

/** A document as prose, the text of its `sh` blocks, and its inline code. */
function partsOf(text: string): { text: string; prose: string; shell: readonly string[]; inline: readonly string[] } {
  const fence = /^[ \t]*```(\w*)[^\n]*\n([\s\S]*?)^[ \t]*```[ \t]*$/gm;
  const shell = [...text.matchAll(fence)]
    .filter(([, language]) => language === 'sh')
    .flatMap(([, , block = '']) => block.replaceAll('\\\n', ' ').split('\n'));
  const prose = text.replaceAll(fence, '');
  return { text, prose, shell, inline: [...prose.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code) };
}

/** The anchors of a document's headings, as GitHub makes them. */
const anchorsOf = (prose: string): Set<string> =>
  new Set(
    [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

it.each(documents)('every link of $name leads somewhere', ({ name, prose }) => {
  const links = [...prose.replaceAll(/`[^`]*`(?!\])/g, '').matchAll(/\]\(([^()\s]+)\)/g)].map(([, link = '']) => link);
  const broken = links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? name : relative(ROOT, join(ROOT, dirname(name), path));
    if (target.startsWith('..') || !existsSync(join(ROOT, target))) return true;
    if (anchor === undefined) return false;
    return !anchorsOf(documents.find((one) => one.name === target)?.prose ?? '').has(anchor);
  });
  expect(broken).toEqual([]);
});

it('every page stands once in the index, and so under one kind', () => {
  const index = documents.find(({ name }) => name === 'docs/README.md')?.prose ?? '';
  const links = [...index.matchAll(/\]\(([a-z0-9-]+\.md)\)/g)].map(([, link = '']) => link);
  const pages = documents.map(({ name }) => name.replace('docs/', '')).filter((name) => !name.includes('/'));
  const ours = pages.filter((name) => existsSync(join(ROOT, 'docs', name)) && name !== 'README.md');
  expect(links.toSorted()).toEqual(ours.toSorted());
});

const program = await programFor();
const OPTION = /^--?[a-z]/;

/** What is wrong with a command line of ours that begins behind the word `uplift`. */
function objection(line: string): string | null {
  // Behind a bar: another program, or, as in `uplift approve | reject`, other words for the last one.
  const [first = '', ...rest] = line.split('|').map((part) => part.trim());
  const words = first.split(/\s+/).filter((word) => word !== '');
  let command: Command = program;
  let parent: Command = program;
  while (command.commands.length > 0) {
    const word = words[0];
    // `uplift freeze` as a whole, `uplift schedule …`, `uplift --help`.
    if (word === undefined || word === '…' || word === '--help' || word === '--version') return null;
    // A group that does something itself: `uplift worker --accounts …`.
    if (OPTION.test(word) && takes(command, word.split('=')[0] ?? '')) break;
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) return `no command ${word}`;
    [parent, command] = [command, next];
    words.shift();
  }
  if (words.length === 0) {
    const unknown = rest.map((part) => part.split(/\s+/)[0] ?? '').find((word) => !named(parent, word));
    return unknown === undefined ? null : `no command ${unknown}`;
  }
  const given = words.map((word) => word.replaceAll(/^\[|[\],]$/g, '').split('=')[0] ?? '');
  const unknown = given.filter((word) => OPTION.test(word) && word !== '--help').find((word) => !takes(command, word));
  if (unknown !== undefined) return `no option ${unknown} of ${command.name()}`;
  const lacking = command.options.find(({ mandatory, long }) => mandatory && !line.includes(long ?? ''));
  // `uplift freeze create --scope … …` leaves the rest to the reader.
  return lacking === undefined || words.at(-1) === '…' ? null : `no ${lacking.long} for ${command.name()}`;
}

const named = (parent: Command, word: string): boolean =>
  word === '…' || parent.commands.some((one) => one.name() === word);

const takes = (command: Command, option: string): boolean =>
  command.options.some(({ short, long }) => option === short || option === long);

/** What follows `uplift ` on a line of shell, up to the end of that command. */
const calls = (line: string): string[] =>
  line
    .replaceAll(/"[^"]*"|'[^']*'/g, 'WORD')
    .replace(/(^|\s)#.*$/, '')
    .split(/&&|;|\$\(/)
    .flatMap((part) => /(?:^|\s)uplift\s+(?!=)(.*)$/.exec(part)?.[1] ?? []);

it.each(documents)('every command of $name exists', ({ name, shell, inline }) => {
  if (name === 'CHANGELOG.md' || name === 'docs/reference.md') return;
  const ofShell = shell.flatMap(calls).map((line) => line.split('|')[0] ?? '');
  const ofInline = inline
    .filter((code) => /^(npx )?uplift /.test(code))
    .map((code) => code.replace(/^(npx )?uplift /, ''));
  const wrong = [...ofShell, ...ofInline].flatMap((line) => {
    const problem = objection(line);
    return problem === null ? [] : [`uplift ${line}: ${problem}`];
  });
  expect(wrong).toEqual([]);
});

it('finds what is wrong with a command', () => {
  expect(objection('pause ROLLOUT --reason …')).toBeNull();
  expect(objection('approve | reject')).toBeNull();
  expect(objection('schedule create | list')).toBeNull();
  expect(objection('calendar PLAN [--at TIME] [-o json]')).toBeNull();
  expect(objection('halt ROLLOUT')).toBe('no command halt');
  expect(objection('schedule halt NAME')).toBe('no command halt');
  expect(objection('pause | halt')).toBe('no command halt');
  expect(objection('pause ROLLOUT --because …')).toBe('no option --because of pause');
  expect(objection('pause ROLLOUT')).toBe('no --reason for pause');
  expect(objection('resolve RESOURCE --as done|failed --reason …')).toBeNull();
  expect(calls('UPLIFT_ACTOR=x npx uplift apply a.yaml --watch # then uplift nothing')).toEqual([
    'apply a.yaml --watch',
  ]);
});

it('every remedy that is printed asks for what its command needs', () => {
  const sources = ['client', 'workflows', 'activities', 'worker', 'calendar', 'plan'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  const told = sources.flatMap((name) =>
    readFileSync(join(ROOT, name), 'utf8')
      .split('\n')
      .filter((line) => !/^\s*(\/?\*|\/\/)/.test(line))
      .flatMap((line) =>
        [...line.matchAll(/\buplift ([a-z]+(?: [a-z]+)?)/g)].map(([, words = '']) => ({ name, words })),
      ),
  );
  const needy = allOf(program)
    .filter(({ options }) => options.some(({ long, mandatory }) => mandatory && long === '--reason'))
    .map((command) => (command.parent === program ? command.name() : `${command.parent?.name()} ${command.name()}`));
  expect(needy).toContain('freeze lift');
  // `signedCommand` writes these whole.
  const bare = told.filter(({ words }) => needy.some((one) => words === one || words.split(' ')[0] === one));
  expect(bare).toEqual([]);
});

const allOf = (command: Command): Command[] => [command, ...command.commands.flatMap(allOf)];

it('every alert stands in the triage', () => {
  const alerts = ['uplift', 'temporal'].flatMap((name) =>
    [...readFileSync(join(ROOT, `deploy/${name}.rules.yml`), 'utf8').matchAll(/- alert: (\w+)/g)].map(
      ([, alert]) => alert,
    ),
  );
  const triage = documents.find(({ name }) => name === 'docs/operations.md')?.inline ?? [];
  expect(alerts.length).toBeGreaterThan(10);
  expect(alerts.filter((alert) => !triage.includes(alert ?? ''))).toEqual([]);
});

it('every npm script that the documents name exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
  const told = documents.flatMap(({ text }) =>
    [...text.matchAll(/npm run ([a-z:]+)/g)].map(([, script = '']) => script),
  );
  expect(told.length).toBeGreaterThan(0);
  expect(told.filter((script) => !(script in scripts))).toEqual([]);
});

it('every variable of ours that the documents name exists', () => {
  const known = new Set([
    ...Object.keys(VARIABLES),
    ...Object.keys(COMPOSE_VARIABLES),
    ...Object.keys(WORKER_VARIABLES.shape),
  ]);
  const told = documents.flatMap(({ text }) => text.match(/\bUPLIFT_[A-Z]+(_[A-Z]+)*\b/g) ?? []);
  expect(told.length).toBeGreaterThan(0);
  expect(told.filter((name) => !known.has(name))).toEqual([]);
});
