/** The `uplift` command: one file per command, each adding itself. */
import { Command } from 'commander';
import { release } from '../temporal/release.js';
import { refuseWrongWords, refuseWrongEnvironment } from './environment.js';

/**
 * By command, or by file where one adds several; in the order of the help. Only the command that is asked for is loaded:
 * most of a process's start is loading code.
 */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  validate: async () => (await import('./commands/validate.js')).addValidate,
  plan: async () => (await import('./commands/plan.js')).addPlan,
  calendar: async () => (await import('./commands/calendar.js')).addCalendar,
  apply: async () => (await import('./commands/apply.js')).addApply,
  status: async () => (await import('./commands/status.js')).addStatus,
  watch: async () => (await import('./commands/watch.js')).addWatch,
  explain: async () => (await import('./commands/explain.js')).addExplain,
  report: async () => (await import('./commands/report.js')).addReport,
  control: async () => (await import('./commands/control.js')).addControl,
  freeze: async () => (await import('./commands/freeze.js')).addFreeze,
  quarantine: async () => (await import('./commands/quarantine.js')).addQuarantine,
  resolve: async () => (await import('./commands/resolve.js')).addResolve,
  schedule: async () => (await import('./commands/schedule.js')).addSchedule,
  doctor: async () => (await import('./commands/doctor.js')).addDoctor,
  dev: async () => (await import('./commands/dev.js')).addDev,
  worker: async () => (await import('./commands/worker.js')).addWorker,
  simulator: async () => (await import('./commands/simulator.js')).addSimulator,
  'codec-server': async () => (await import('./commands/codec-server.js')).addCodecServer,
};

/** The program with the command of that name; with all of them for any other word, or none. */
export async function programFor(word?: string): Promise<Command> {
  const program = new Command('uplift')
    .description('Durable upgrades for managed cloud services, on Temporal')
    .version(release())
    .exitOverride()
    // An option belongs to the command before it: `worker` has some in common with its own commands.
    .enablePositionalOptions()
    .showHelpAfterError('(--help shows how it is used)')
    .hook('preAction', async (_, command) => {
      refuseWrongWords(command);
      await refuseWrongEnvironment(process.env);
    })
    .addHelpText(
      'after',
      `
Exit codes:
  0 done or no change    1 error                     2 plan has changes
  3 tolerated failures   4 failure budget exceeded   5 waiting: it goes on
  6 drift or conflict    7 cancelled or stopped      124 watch timed out

Data goes to stdout, messages to stderr. NO_COLOR turns colours off, UPLIFT_DEBUG=1 shows stacks.`,
    );
  // Any other word is one of several commands of a file, or a mistake, or a request for help, for which all are told.
  const loaders = Object.entries(COMMANDS);
  const asked = loaders.filter(([name]) => name === word);
  for (const [, load] of asked.length > 0 ? asked : loaders) (await load())(program);
  return program;
}
