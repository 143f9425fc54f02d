/** Normalisations as they run on a GPU: rows shared by the invocations of a workgroup, short ones by a few of a subgroup. */
import { coreCases, describeResult, runCase } from '@pergola/core/conformance';
import type { WebGpuContext } from '@pergola/backend-webgpu';
import { expect, test } from 'vitest';
import { openDevice } from './adapter.ts';

const OPS = ['layerNorm', 'rmsNorm', 'qkNorm', 'layerNormModulate'];

test.each(OPS)('%s', async (op) => {
  using device = await openDevice();
  const context = device.backend.context as WebGpuContext;
  Object.assign(context, { capabilities: { ...context.capabilities, software: false } });
  for (const testCase of coreCases().filter((one) => one.op.name === op)) {
    const results = await runCase(device, testCase);
    expect(results.some(({ status }) => status === 'passed')).toBe(true);
    const failed = results.filter(({ status }) => status === 'failed');
    expect(failed.map(describeResult)).toEqual([]);
  }
});
