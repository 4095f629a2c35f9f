/** What is wrong with our own variables and with empty options is said before a command does anything. */
import type { Command } from 'commander';
import { misspelt } from '../temporal/spelling.js';
import { refuseWrongValue } from '../temporal/variables.js';
import { UsageError } from './errors.js';
import { COMPOSE_VARIABLES, VARIABLES } from './variables.js';

/** Keys have lines, an empty one of these counts as none, and those of docker-compose.yml are its own to judge. */
const ANYTHING = ['UPLIFT_DEBUG', 'UPLIFT_ENCRYPTION_KEYS', ...Object.keys(COMPOSE_VARIABLES)];

/**
 * @throws UsageError or TemporalSetupError for a variable that is misspelt, empty, or has quotes or white space around its
 *   value; what a worker's may be set to is looked at by the worker
 */
export async function refuseWrongEnvironment(env: NodeJS.ProcessEnv): Promise<void> {
  const known = [...Object.keys(VARIABLES), ...Object.keys(COMPOSE_VARIABLES)];
  const others = Object.keys(env).filter((name) => /^U\w*_/i.test(name) && !known.includes(name));
  if (others.length > 0) {
    // Loaded only here, since it takes a moment.
    const { WORKER_VARIABLES } = await import('../worker/settings.js');
    known.push(...Object.keys(WORKER_VARIABLES.shape));
  }
  const ours = known.filter((name) => name.startsWith('UPLIFT_'));
  for (const name of others) {
    // The keys of an account, whose prefix may be any.
    if (/_[AS]K$/.test(name)) continue;
    const meant = misspelt(name, ours);
    if (meant === null) continue;
    // Else the key itself would come to stand there.
    const rest = meant === 'UPLIFT_API_KEY_FILE' ? 'It names a file' : 'If not, give it another name';
    throw new UsageError(`${name} is not a setting (did you mean ${meant}? ${rest})`);
  }
  for (const name of ours.filter((one) => !ANYTHING.includes(one))) {
    const value = env[name];
    if (value !== undefined) refuseWrongValue(name, 'text', value);
  }
  const ui = env['UPLIFT_UI'];
  if (ui === undefined || (/^https?:/.test(ui) && URL.canParse(ui))) return;
  throw new UsageError(
    `UPLIFT_UI: ${JSON.stringify(ui)} is no address of a page (use scheme, host and port, as in http://127.0.0.1:8233)`,
  );
}

/** @throws UsageError for an option or an argument without text, or with a Windows line end, as scripts make them */
export function refuseWrongWords(command: Command): void {
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName());
    const wrong = [value]
      .flat()
      .map((one) => objectionTo(one, option.mandatory))
      .find((one) => one !== null);
    if (wrong === undefined) continue;
    const isFromEnvironment = command.getOptionValueSource(option.attributeName()) === 'env';
    const name = isFromEnvironment ? option.envVar : option.long;
    throw new UsageError(`${name} ${wrong}`);
  }
  const names = command.registeredArguments;
  for (const [index, value] of command.args.entries()) {
    const wrong = objectionTo(value, true);
    if (wrong === null) continue;
    throw new UsageError(`the argument ${(names[index] ?? names.at(-1))?.name()} ${wrong}`);
  }
}

function objectionTo(value: unknown, isRequired: boolean): string | null {
  if (typeof value !== 'string') return null;
  if (value.trim() === '') return `is empty (give it a value${isRequired ? '' : ', or leave it out'})`;
  return value.endsWith('\r') ? 'ends with a line end of Windows (remove it, also from the script)' : null;
}
