/** Writes docs/reference.md from the code, so that it cannot drift; run by `npm run build`. */
import type { Command } from 'commander';
import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import { EXIT, EXIT_MEANINGS } from '../client/exit-codes.js';
import { programFor } from '../client/program.js';
import { COMPOSE_VARIABLES, VARIABLES } from '../client/variables.js';
import { WORKER_VARIABLES } from '../worker/settings.js';
import { METRICS, type Metric } from '../workflows/contracts/metrics.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { writeGenerated } from './repository.js';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Every command that does something, with its path: `freeze create`. */
function commandsOf(command: Command, path: readonly string[] = []): string[] {
  const own = [...path, command.name()];
  const children = command.commands.flatMap((one) =>
    commandsOf(one, path.length === 0 && command.parent === null ? [] : own),
  );
  if (command.parent === null) return children;
  const takes = command.registeredArguments.map((one) => {
    const name = `${one.name()}${one.variadic ? '…' : ''}`;
    return one.required ? `<${name}>` : `[${name}]`;
  });
  const options = command.options.filter(({ hidden }) => !hidden);
  const preset = (value: unknown) =>
    value === undefined || value === false ? '' : ` Preset: \`${JSON.stringify(value).replaceAll('"', '')}\`.`;
  const section = [
    `### \`uplift ${[...own, ...takes].join(' ')}\``,
    `${command.description()}.`,
    ...(options.length === 0
      ? []
      : [
          table(
            ['option', ''],
            options.map(({ flags, description, defaultValue, defaultValueDescription }) => [
              `\`${flags}\``,
              `${description}.${preset(defaultValueDescription ?? defaultValue)}`,
            ]),
          ),
        ]),
  ].join('\n\n');
  // A command that only groups others has nothing of its own to tell.
  return command.commands.length > 0 && options.length === 0 ? children : [section, ...children];
}

/** As one would write it, for a preset that was read already. */
function presetOf(name: string, schema: z.ZodType): string {
  const parsed = z.object({ [name]: schema }).safeParse({});
  const value = parsed.success ? parsed.data[name] : undefined;
  if (value === undefined) return '';
  if (Array.isArray(value)) return `\`${value.join(',')}\``;
  return `\`${name.endsWith('_TIMEOUT') ? `${Number(value) / 1000}s` : JSON.stringify(value).replaceAll('"', '')}\``;
}

const exported = ({ name, kind }: Metric): string => (kind === 'counter' ? `${name}_total` : name);

const program = await programFor();
const text = [
  '# Reference',
  'Made from the code by `npm run build`; what a plan and an accounts file may say stands in `plan/schema/`, which editors read.',
  '## Commands',
  ...commandsOf(program),
  '## Exit codes',
  table(
    ['code', ''],
    Object.entries(EXIT).map(([name, code]) => [String(code), EXIT_MEANINGS[name as keyof typeof EXIT]]),
  ),
  '## Variables of every command',
  table(
    ['variable', ''],
    Object.entries(VARIABLES).map(([name, about]) => [
      name
        .split(', ')
        .map((one) => `\`${one}\``)
        .join(', '),
      about,
    ]),
  ),
  '## Variables of a worker',
  table(
    ['variable', 'preset', ''],
    Object.entries(WORKER_VARIABLES.shape).map(([name, schema]) => [
      `\`${name}\``,
      presetOf(name, schema),
      schema.description ?? '',
    ]),
  ),
  '## Variables of docker-compose.yml',
  table(
    ['variable', ''],
    Object.entries(COMPOSE_VARIABLES).map(([name, about]) => [`\`${name}\``, about]),
  ),
  '## Metrics',
  "Beside the SDK's own (`temporal_…`):",
  table(
    ['metric', 'kind', 'labels', ''],
    Object.values<Metric>(METRICS).map((metric) => [
      `\`${exported(metric)}\``,
      metric.kind,
      metric.labels.map((label) => `\`${label}\``).join(', '),
      metric.about,
    ]),
  ),
  '## Search attributes',
  'All of type Keyword, for the lists of the Temporal UI and `temporal workflow list`:',
  Object.values(ATTRIBUTES)
    .map(({ name }) => `\`${name}\``)
    .join(', '),
].join('\n\n');

writeGenerated(
  'docs/reference.md',
  await format(text, { ...(await resolveConfig(new URL('../package.json', import.meta.url))), parser: 'markdown' }),
);
