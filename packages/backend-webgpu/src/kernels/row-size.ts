/** Which invocations share a row, for kernels that work through rows. */
import type { Capabilities } from '../capabilities.ts';
import type { ProgramSpec } from '../wgsl/program.ts';

const SMALLEST = 32;
const LARGEST = 256;
// Accesses per invocation below which more invocations only wait for each other.
const ACCESSES = 4;

/** The invocations of one row. */
export interface RowTeam extends Pick<ProgramSpec, 'each' | 'workgroup'> {
  /** Their number: 1 where `each` is `element`, else the workgroup. */
  readonly size: number;
  /** WGSL: the head of `run`, which gives the body `row` and `lane`. */
  readonly run: string;
}

/** A power of two that fits rows of `accesses` loads. */
export function rowWorkgroup(accesses: number): number {
  let size = SMALLEST;
  while (size < LARGEST && size * ACCESSES < accesses) size *= 2;
  return size;
}

/** The team for rows of `accesses` loads: a workgroup, or a single invocation where barriers cost most. */
export function rowTeam(accesses: number, { software }: Capabilities): RowTeam {
  if (software) {
    return { each: 'element', workgroup: 64, size: 1, run: 'fn run(row: u32) {\n  let lane = 0u;' };
  }
  const size = rowWorkgroup(accesses);
  return { each: 'group', workgroup: size, size, run: 'fn run(row: u32, lane: u32) {' };
}
