/** Reasons that people give to commands. */
import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { programFor } from '../../client/program.js';

const allOf = (command: Command): Command[] => [command, ...command.commands.flatMap(allOf)];

const asking = allOf(await programFor()).flatMap((command) => {
  const option = command.options.find(({ long }) => long === '--reason');
  const name = `${command.parent?.name()} ${command.name()}`;
  return option === undefined ? [] : [{ name, parse: option.parseArg?.bind(option) }];
});

it.each(asking)('$name takes a reason of one line, and none that is too long', ({ parse }) => {
  expect(parse?.('a look\nfirst', undefined)).toBe('a look first');
  expect(() => parse?.('x'.repeat(301), undefined)).toThrow('Say it in 300 characters.');
});

it('asks it of schedules too', () => {
  expect(asking.map(({ name }) => name)).toEqual(expect.arrayContaining(['schedule pause', 'schedule resume']));
});
