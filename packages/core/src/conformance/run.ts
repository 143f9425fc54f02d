/** Running a suite of conformance cases on a device, with exclusions and a report. */
import type { Device } from '../device.ts';
import type { DType } from '../dtype.ts';
import { quickCases, type ConformanceCase } from './case.ts';
import { runCase, type CaseResult } from './run-case.ts';

/** Results that a backend is known to fail, with the reason. */
export interface Exclusion {
  readonly op: string;
  /** Name of one case; all cases of the op when absent. */
  readonly case?: string;
  /** All dtypes when absent. */
  readonly dtype?: DType;
  /** Why this cannot pass, for people. */
  readonly reason: string;
}

/** Options of `runConformance`. */
export interface ConformanceOptions {
  /** Told of every result as it arrives. */
  readonly onResult?: (result: CaseResult) => void;
  /** Keeps the cases for which it is true; all by default. */
  readonly filter?: (testCase: ConformanceCase) => boolean;
  /** Two cases of each op instead of all; false by default. */
  readonly quick?: boolean;
  readonly exclusions?: readonly Exclusion[];
  /** Stops before the next case. */
  readonly signal?: AbortSignal;
}

/** All results of a suite. */
export interface ConformanceReport {
  readonly results: readonly CaseResult[];
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly excluded: number;
}

function excludes(exclusion: Exclusion, result: CaseResult): boolean {
  return (
    exclusion.op === result.op &&
    (exclusion.case === undefined || exclusion.case === result.case) &&
    (exclusion.dtype === undefined || exclusion.dtype === result.dtype)
  );
}

function exclude(result: CaseResult, exclusions: readonly Exclusion[]): CaseResult {
  const exclusion = exclusions.find((item) => excludes(item, result));
  if (exclusion === undefined || result.status !== 'failed') return result;
  return { ...result, status: 'excluded', message: `${exclusion.reason} (${result.message})` };
}

/** Results of a case, failures that an exclusion names turned into `excluded`. */
export async function runWithExclusions(
  device: Device,
  testCase: ConformanceCase,
  exclusions: readonly Exclusion[] = [],
): Promise<CaseResult[]> {
  const results = await runCase(device, testCase);
  return results.map((result) => exclude(result, exclusions));
}

/** One line on a result: what ran, how it ended, and why. */
export function describeResult(result: CaseResult): string {
  const { op, case: name, dtype, strategy, status, message } = result;
  const how = [dtype, strategy].filter((part) => part !== undefined).join(', ');
  return `${op} / ${name}${how === '' ? '' : ` (${how})`}: ${message === '' ? status : message}`;
}

/**
 * Runs cases on a device, one after another.
 *
 * @throws the signal's reason when it is aborted; never because of a failed case.
 */
export async function runConformance(
  device: Device,
  cases: readonly ConformanceCase[],
  { onResult, filter, quick = false, exclusions, signal }: ConformanceOptions = {},
): Promise<ConformanceReport> {
  const chosen = (quick ? quickCases(cases) : cases).filter((item) => filter?.(item) ?? true);
  const results: CaseResult[] = [];
  for (const testCase of chosen) {
    signal?.throwIfAborted();
    for (const result of await runWithExclusions(device, testCase, exclusions)) {
      results.push(result);
      onResult?.(result);
    }
  }
  const count = (status: CaseResult['status']): number =>
    results.filter((result) => result.status === status).length;
  return {
    results,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    excluded: count('excluded'),
  };
}
