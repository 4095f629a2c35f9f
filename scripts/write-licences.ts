/** Writes docs/licences.md from package-lock.json, and refuses a licence that nobody has looked at; run by `npm run build`. */
import { readFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import { writeGenerated } from './repository.js';

/** Licences that go together with Apache-2.0, and what each asks of those who pass Uplift on. */
const LICENCES: Readonly<Record<string, string>> = {
  '0BSD': 'nothing',
  'Apache-2.0': 'keep the licence and its notices',
  'BSD-2-Clause': 'keep the licence',
  'BSD-3-Clause': 'keep the licence',
  'BlueOak-1.0.0': 'keep the licence, or a link to it',
  'CC-BY-4.0': 'name the author (of data, no code)',
  ISC: 'keep the licence',
  MIT: 'keep the licence',
  'MPL-2.0': 'give changes of its own files away under the same licence; none is changed here',
  Unlicense: 'nothing',
};

/** What a package says otherwise than by an SPDX identifier in its package.json. */
const SPELT: Readonly<Record<string, string>> = {
  'Apache License 2.0': 'Apache-2.0',
};

/** Packages that name their licence only in a file. */
const IN_A_FILE: Readonly<Record<string, string>> = { unionfs: 'Unlicense' };

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string(), license: z.string().optional(), dev: z.boolean().optional() }),
  ),
});

const lock = lockSchema.parse(JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')));
const packages = Object.entries(lock.packages)
  .filter(([path]) => path !== '')
  .map(([path, { version, license, dev }]) => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const told = license ?? IN_A_FILE[name] ?? '';
    const licence = SPELT[told] ?? told;
    const unknown = licence.split(' AND ').filter((one) => !(one in LICENCES));
    if (unknown.length > 0) {
      throw new Error(
        `${name}@${version} is under the licence "${licence}", which scripts/write-licences.ts does not know: ` +
          'read it, and add it there or take another package',
      );
    }
    return { licence, runs: dev !== true, named: `${name} ${version}` };
  });

const used = [...new Set(packages.map(({ licence }) => licence))].toSorted();
const names = (licence: string, runs: boolean) => [
  ...new Set(packages.filter((one) => one.licence === licence && one.runs === runs).map(({ named }) => named)),
];
const asked = (licence: string) => [...new Set(licence.split(' AND ').map((one) => LICENCES[one]))].join('; ');

const text = [
  '# Licences of the dependencies',
  'Made from `package-lock.json` by `npm run build`, which refuses a licence that nobody has looked at. Packages for all ' +
    'platforms are counted; a machine installs those for its own.',
  [
    '| licence | at run time | only to build and test | asks |',
    '| --- | --- | --- | --- |',
    ...used.map((one) => `| ${one} | ${names(one, true).length} | ${names(one, false).length} | ${asked(one)} |`),
  ].join('\n'),
  '## At run time',
  ...used
    .filter((one) => names(one, true).length > 0)
    .map((one) => `**${one}:** ${names(one, true).toSorted().join(', ')}`),
].join('\n\n');

writeGenerated(
  'docs/licences.md',
  await format(text, { ...(await resolveConfig(new URL('../package.json', import.meta.url))), parser: 'markdown' }),
);
