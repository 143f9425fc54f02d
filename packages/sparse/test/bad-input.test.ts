/** Every sparse op refuses bad input in one sentence, before any device work. */
import { createCpuDevice } from '@pergola/core';
import { badInputCases, checkBadInput } from '@pergola/core/conformance';
import { sparseOps } from '@pergola/sparse';
import { sparseCases } from '@pergola/sparse/conformance';
import { expect, test } from 'vitest';

const cases = sparseCases();

test.each(sparseOps().map((op) => [op.name, op] as const))('%s', async (_name, op) => {
  using device = await createCpuDevice();
  const problems: string[] = [];
  for (const bad of badInputCases(
    op,
    cases.find((testCase) => testCase.op === op)!,
  )) {
    const problem = await checkBadInput(device, bad);
    if (problem !== '') problems.push(`${bad.name}: ${problem}`);
  }
  expect(problems).toEqual([]);
});
