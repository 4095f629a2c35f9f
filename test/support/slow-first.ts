import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Folders whose files take a minute or more, since they start servers and wait for them. */
const SLOW = ['life', 'e2e', 'chaos', 'cli', 'workflows'];

/** Begins with what takes longest: of a long file that begins last, the others would only see the end. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = SLOW.findIndex((folder) => moduleId.includes(`/test/${folder}/`));
      return at === -1 ? SLOW.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
