/** The command lines of the scripts that npm runs. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

describe.each([
  ['demo', 'scripts/demo.js', '--keep'],
  ['chaos', 'scripts/chaos.js', '--seed SEED'],
  ['bench', 'bench/main.js', '--only ONLY'],
])('npm run %s', (name, file, option) => {
  const run = (...args: string[]) => {
    const script = fileURLToPath(new URL(`../../dist/${file}`, import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };

  it('tells its options', () => {
    const { status, stdout, stderr } = run('--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^npm run ${name} -- .*\\[${option}\\].*\n$`));
  });

  it.each([
    [['--nope'], "Unknown option '--nope'"],
    [['stray'], "Unexpected argument 'stray'"],
    [
      ['--directory'],
      name === 'bench' ? "Unknown option '--directory'" : "Option '--directory <value>' argument missing",
    ],
  ])('says in one line what it cannot read in %j', (args, what) => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.split('\n')).toEqual([expect.stringMatching(/ \(npm run .*\)$/), '']);
    expect(stderr).toContain(`${what} (`);
  });
});
