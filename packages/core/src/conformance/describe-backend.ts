/** The conformance suite as tests of a test runner such as vitest. */
import type { Device } from '../device.ts';
import type { Op } from '../op.ts';
import { opsWithoutCases, type ConformanceCase } from './case.ts';
import { describeResult, runWithExclusions, type Exclusion } from './run.ts';

/** The functions of a test runner that the suite needs; vitest's and jest's fit. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => void;
  readonly test: (name: string, body: () => Promise<void> | void) => void;
  readonly afterAll: (body: () => Promise<void> | void) => void;
}

/** Options of `describeBackend`. */
export interface DescribeOptions {
  /** Ops that must have a case each; none by default. */
  readonly ops?: readonly Op[];
  readonly exclusions?: readonly Exclusion[];
}

/**
 * Declares one test for each case, grouped by op, on one device that is opened for the first and disposed after
 * the last.
 *
 * @param createDevice opens the device under test.
 */
export function describeBackend(
  { describe, test, afterAll }: TestRunner,
  name: string,
  createDevice: () => Promise<Device>,
  cases: readonly ConformanceCase[],
  { ops = [], exclusions = [] }: DescribeOptions = {},
): void {
  describe(`conformance of ${name}`, () => {
    let opened: Promise<Device> | undefined;
    afterAll(async () => (await opened)?.dispose());
    if (ops.length > 0) {
      test('every op has cases', () => {
        const missing = opsWithoutCases(ops, cases);
        if (missing.length > 0) throw new Error(`No conformance case for ${missing.join(', ')}.`);
      });
    }
    for (const op of new Set(cases.map((testCase) => testCase.op.name))) {
      describe(op, () => {
        for (const testCase of cases.filter((item) => item.op.name === op)) {
          test(testCase.name, async () => {
            opened ??= createDevice();
            const results = await runWithExclusions(await opened, testCase, exclusions);
            const failed = results.filter(({ status }) => status === 'failed');
            if (failed.length > 0) throw new Error(failed.map(describeResult).join('\n'));
          });
        }
      });
    }
  });
}
