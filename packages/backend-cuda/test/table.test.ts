/** The kernel table covers both catalogues, and its kernels plan every conformance case. */
import { coreOps } from '@pergola/core';
import { sparseOps } from '@pergola/sparse';
import { expect, test } from 'vitest';
import { KERNEL_TABLE } from '../src/kernels/table.ts';
import { allCases, callsOf, planCase } from './plan-cases.ts';
import { stubContext } from './stub-context.ts';

/** Ops without a CUDA kernel, and why. */
const WITHOUT_KERNEL: Readonly<Record<string, string>> = {};

/** Cases that kernels leave to the fallbacks of the catalogue, and why. */
const UNSUPPORTED: readonly string[] = ['linear: it sums nothing'];

const OPS = [...coreOps(), ...sparseOps()].map(({ name }) => name);

test('every op has a kernel or a reason not to', () => {
  const missing = OPS.filter((name) => !KERNEL_TABLE.has(name) && !(name in WITHOUT_KERNEL));
  expect(missing).toEqual([]);
});

test('no kernel is without an op', () => {
  expect([...KERNEL_TABLE.keys()].filter((name) => !OPS.includes(name))).toEqual([]);
});

test('every kernel plans the cases of its op', () => {
  const refused = new Set<string>();
  for (const capability of [80, 90]) {
    const stub = stubContext(capability);
    for (const testCase of allCases()) {
      const kernel = KERNEL_TABLE.get(testCase.op.name)!;
      for (const call of callsOf(testCase)) {
        const reason = planCase(kernel, call, stub);
        if (reason !== undefined) refused.add(`${testCase.op.name}: ${reason}`);
      }
    }
  }
  expect([...refused]).toEqual(UNSUPPORTED);
});

test('a strategy that does not serve a call says so in one sentence', () => {
  const stub = stubContext(80);
  const kernel = KERNEL_TABLE.get('conv3d')!;
  const testCase = allCases().find(({ op }) => op.name === 'conv3d');
  const reason = planCase(kernel, callsOf(testCase!)[0]!, stub, 'wgmma');
  expect(reason).toMatch(/^conv3d: wgmma needs Hopper.+[^.]\.$/);
});
