/** The worked examples of the guides run, and the guides quote them word for word. */
import { readFileSync, statSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { createCpuDevice, createNullDevice } from '@pergola/core';
import { badInputCases, checkBadInput, describeBackend, runCase } from '@pergola/core/conformance';
import { leakyReluCases } from './examples/leaky-relu-cases.ts';
import { leakyRelu, leakyReluOp } from './examples/leaky-relu.ts';
import { createDecomposingDevice } from './reference-devices.ts';

describeBackend({ describe, test, afterAll }, 'cpu', createCpuDevice, leakyReluCases(), {
  ops: [leakyReluOp],
});

describeBackend(
  { describe, test, afterAll },
  'its decomposition',
  createDecomposingDevice,
  leakyReluCases(),
);

test('the kernel serves f32 with both strategies, the reference the other dtypes', async () => {
  using device = await createCpuDevice({ threads: 1 });
  const results = await runCase(device, leakyReluCases()[0]!);
  expect(
    results.map(({ dtype, strategy, path, status }) => [dtype, strategy, path, status]),
  ).toEqual([
    ['f32', undefined, 'kernel', 'passed'],
    ['f32', 'branching', 'kernel', 'passed'],
    ['f32', 'branchless', 'kernel', 'passed'],
    ['f16', undefined, 'reference', 'passed'],
    ['f16', 'branching', undefined, 'skipped'],
    ['f16', 'branchless', undefined, 'skipped'],
    ['bf16', undefined, 'reference', 'passed'],
    ['bf16', 'branching', undefined, 'skipped'],
    ['bf16', 'branchless', undefined, 'skipped'],
  ]);
});

test('the function computes, and bad input meets one sentence', async () => {
  using device = await createCpuDevice({ threads: 1 });
  const y = leakyRelu(device.tensor([-2, 0, 3], [3]), { slope: 0.5 });
  expect(await y.floats()).toEqual(Float32Array.of(-1, 0, 3));
  for (const bad of badInputCases(leakyReluOp, leakyReluCases()[0]!)) {
    expect(await checkBadInput(device, bad), bad.name).toBe('');
  }
});

test('a network is planned before a device runs it', () => {
  using device = createNullDevice({ memoryBytes: 8 * 2 ** 30 });
  const x = device.tensor(new Float32Array(64 * 512), [64, 512], 'f16');
  device.run(() => leakyRelu(x));
  expect(device.plan.ops.map(({ op }) => op)).toEqual(['leakyRelu']);
  expect(device.plan.flops).toBe(2 * 64 * 512);
  expect(device.plan.peakBytes).toBe(2 * 64 * 512 * 2);
});

interface Quote {
  readonly file: string;
  readonly code: string;
}

/** TypeScript blocks of a guide, with the file that the line before them links to. */
function quotes(guide: URL): Quote[] {
  const text = readFileSync(guide, 'utf8');
  const found = [...text.matchAll(/^From \[[^\]]+\]\(([^)]+)\):\n\n```ts\n([\s\S]*?)\n```$/gm)];
  expect(found.length).toBe(text.match(/^```ts$/gm)?.length);
  return found.map(([, path, code]) => ({
    file: readFileSync(new URL(path!, guide), 'utf8'),
    code: code!,
  }));
}

describe('the guides', () => {
  const guides = ['adding-an-op.md', 'adding-a-kernel.md', 'adding-a-backend.md'];

  test.each(guides)('%s quotes its sources word for word', (name) => {
    const guide = new URL(`../../../docs/${name}`, import.meta.url);
    const blocks = quotes(guide);
    expect(blocks.length).toBeGreaterThan(1);
    for (const { file, code } of blocks) expect(file).toContain(code);
  });

  test.each(guides)('%s links to files that exist', (name) => {
    const guide = new URL(`../../../docs/${name}`, import.meta.url);
    const links = readFileSync(guide, 'utf8').matchAll(/\]\(([^)#]+)\)/g);
    for (const [, path] of links) {
      expect(() => statSync(new URL(path!, guide)), path).not.toThrow();
    }
  });
});
