// The README's test command, after pnpm has installed: builds, lints, type-checks, checks boundaries, tests everything,
// runs the documented examples, packs every package and checks the tarballs. The last line counts all of it:
// `N passed, N failed, N skipped`. A check of the repo counts as one test. Exit code 1 if anything failed.
// Usage: pnpm test [--help] [--only <package folder or name>]
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkPublish } from './check-publish.ts';
import { runExamples } from './documented-examples.ts';
import { runCommand } from './run-command.ts';
import { readJson, workspacePackages, workspaceRoot } from './workspace.ts';

const help = `pnpm test   build, lint, type-check, check boundaries, test, run the README examples, check the tarballs

  --only <name>   only this package's build, type-check and tests (and what it depends on); no repo-wide checks
  --help          this text

The last line counts tests and checks: N passed, N failed, N skipped. Exit code 0 when nothing failed.
Tests that need a program which is not installed (redis-server, chromium, promtool) are skipped and say so;
PERF_REQUIRE_SERVICES=1 turns such a skip into a failure.`;

interface VitestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const count = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];

function record(name: string, ok: boolean, detail = ''): void {
  if (ok) count.passed += 1;
  else {
    count.failed += 1;
    failures.push(name);
  }
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}`);
  if (!ok && detail !== '') console.log(detail);
}

const bin = (name: string): string => path.join(workspaceRoot, 'node_modules/.bin', name);

async function check(name: string, command: string, args: readonly string[]): Promise<boolean> {
  const { code, output } = await runCommand(command, args, { cwd: workspaceRoot });
  record(name, code === 0, output);
  return code === 0;
}

/** Adds up what each package's vitest wrote; a package that has tests but no report counts as one failure. */
function collectTests(packages: ReturnType<typeof workspacePackages>): void {
  for (const pkg of packages) {
    if (pkg.manifest.scripts?.['test'] === undefined) continue;
    const file = path.join(pkg.dir, '.results/vitest.json');
    if (!existsSync(file)) {
      record(`tests of ${pkg.name}: no report was written`, false);
      continue;
    }
    const report = readJson(file) as VitestReport;
    count.passed += report.numPassedTests;
    count.failed += report.numFailedTests;
    count.skipped += report.numPendingTests + report.numTodoTests;
    if (!report.success && report.numFailedTests === 0)
      record(`tests of ${pkg.name}: a file did not run`, false);
    for (const suite of report.testResults) {
      for (const test of suite.assertionResults) {
        if (test.status === 'failed') failures.push(`${pkg.name}: ${test.fullName}`);
        if (test.status === 'skipped' || test.status === 'pending')
          console.log(`skipped: ${pkg.name}: ${test.fullName}`);
      }
    }
    console.log(`${pkg.name}: ${report.numPassedTests} passed, ${report.numFailedTests} failed`);
  }
}

async function main(): Promise<void> {
  const args = process.argv.slice(2).filter((arg) => arg !== '--');
  const { values } = parseArgs({
    args,
    options: { only: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    console.log(help);
    return;
  }
  const all = workspacePackages();
  const packages =
    values.only === undefined ? all : all.filter((p) => p.name === values.only || p.folder === values.only);
  if (packages.length === 0) throw new RangeError(`--only: no package is called ${values.only}`);
  for (const pkg of packages) rmSync(path.join(pkg.dir, '.results/vitest.json'), { force: true });

  if (values.only === undefined) {
    await check('format (oxfmt)', bin('oxfmt'), ['--check']);
    await check('boundaries (turbo)', bin('turbo'), ['boundaries', '--no-color']);
    await check('boundaries (layering)', process.execPath, ['tooling/layering.ts']);
  }
  const filter = packages === all ? [] : packages.map((p) => `--filter=${p.name}`);
  const tasks = [
    'run',
    'build',
    'typecheck',
    'test',
    '--continue=dependencies-successful',
    '--concurrency=2',
    '--output-logs=new-only',
  ];
  const turbo = await runCommand(bin('turbo'), [...tasks, ...filter], { cwd: workspaceRoot, echo: true });
  // After the build: the types of other packages, which the type-aware rules read, come from `dist`.
  if (values.only === undefined)
    await check('lint (oxlint)', bin('oxlint'), ['--type-aware', '--deny-warnings']);
  const before = count.failed;
  collectTests(packages);
  record('build, typecheck and test tasks (turbo)', turbo.code === 0);
  if (turbo.code === 0 && count.failed > before) throw new Error('a test failed but its task did not');

  if (values.only === undefined && turbo.code === 0) {
    for (const { name, ok, detail } of await runExamples()) record(name, ok, detail);
    await checkPublish(({ name, ok, detail }) => record(name, ok, detail));
  }
}

await main().catch((error: unknown) => {
  record('test command', false, error instanceof Error ? (error.stack ?? error.message) : String(error));
});
if (failures.length > 0) console.log(`\nfailed:\n${failures.map((f) => `  ${f}`).join('\n')}`);
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 ? 0 : 1;
