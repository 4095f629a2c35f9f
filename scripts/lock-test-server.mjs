// Writes test/support/test-server.lock.json: every jar that Temporal's time-skipping server needs, by coordinates and
// SHA-256. Only whoever raises its version runs this, and needs Maven: node scripts/lock-test-server.mjs 1.37.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [version] = process.argv.slice(2);
if (version === undefined) {
  console.error('usage: node scripts/lock-test-server.mjs <version of io.temporal:temporal-test-server>');
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'lock-test-server-'));
try {
  writeFileSync(
    join(folder, 'pom.xml'),
    // slf4j-nop: without a binding the logging library complains at every start.
    `<project><modelVersion>4.0.0</modelVersion><groupId>lock</groupId><artifactId>lock</artifactId><version>1</version>
    <dependencies><dependency><groupId>io.temporal</groupId><artifactId>temporal-test-server</artifactId>
    <version>${version}</version></dependency><dependency><groupId>org.slf4j</groupId>
    <artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency></dependencies></project>`,
  );
  const maven = (...goals) => execFileSync('mvn', ['--batch-mode', '--quiet', ...goals], { cwd: folder });
  maven('dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=lib');
  maven('dependency:list', '-DincludeScope=runtime', '-DoutputFile=list.txt');

  // group:artifact:jar:version:scope
  const jars = [...readFileSync(join(folder, 'list.txt'), 'utf8').matchAll(/^\s+([^:\s]+):([^:]+):jar:([^:]+):/gm)]
    .map(([, group, artifact, jarVersion]) => {
      const bytes = readFileSync(join(folder, 'lib', `${artifact}-${jarVersion}.jar`));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { coordinates: `${group}:${artifact}:${jarVersion}`, sha256 };
    })
    .sort((one, other) => (one.coordinates < other.coordinates ? -1 : 1));
  const lock = join(import.meta.dirname, '..', 'test', 'support', 'test-server.lock.json');
  writeFileSync(lock, `${JSON.stringify({ version, jars }, null, 2)}\n`);
  console.error(`${jars.length} jars locked`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
