/** The options of a script that npm runs. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

/** Wrong use of the command line. */
const USAGE = 2;

/**
 * What the command line says. Of what it cannot mean, one line on stderr says what there is, and the process ends; as it
 * does after `--help`.
 *
 * @param script as in `npm run`
 */
export function optionsOf<const T extends ParseArgsOptionsConfig>(script: string, options: T) {
  const usage = `npm run ${script} -- ${Object.entries(options)
    .map(([name, { type }]) => `[--${name}${type === 'string' ? ` ${name.toUpperCase()}` : ''}]`)
    .join(' ')}`;
  if (process.argv.slice(2).includes('--help')) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const [what = ''] = error.message.split(/\. |\n/);
    process.stderr.write(`${what.replace(/\.$/, '')} (${usage})\n`);
    process.exit(USAGE);
  }
}
