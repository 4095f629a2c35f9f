/** One thing that is wrong with what a user wrote. */
export interface InputProblem {
  /** File as the user named it. */
  readonly file: string;
  /** 1-based; `null` where the place is the whole file. */
  readonly line: number | null;
  /** `spec.targets[3].version`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
  /** Only because selectors choose nothing now: no problem for a plan that is resolved again and again. */
  readonly fromEmptiness?: true;
  /** Certain only once every target and its tags are known. */
  readonly needsAll?: true;
  /** It lies in the plan and in who asks, so that another try comes to the same. */
  readonly lasts?: true;
}

/** Bad input, every problem on one line of its own: `plan.yaml:12: spec.waves[0].name: … (remedy)`. */
export class InputError extends Error {
  override readonly name = 'InputError';
  readonly problems: readonly InputProblem[];

  constructor(problems: readonly InputProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

function formatProblem(problem: InputProblem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}`;
  const path = problem.path === '' ? '' : ` ${problem.path}:`;
  return `${place}:${path} ${problem.message} (${problem.remedy})`;
}

/** Adapters and sessions end a line with its remedy in brackets, where they know one: `what is wrong (what to do)`. */
export function splitRemedy(line: string, fallback: string): [message: string, remedy: string] {
  const [, message = line, remedy = fallback] = /^(.*\S) \((.*)\)$/.exec(line) ?? [];
  return [message, remedy];
}
