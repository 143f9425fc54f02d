/** The networks of the first stage against the reference. */
import type { Device } from '@pergola/core';
import {
  describeModel,
  SparseStructureDecoder,
  SparseStructureEncoder,
  SparseStructureFlowModel,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestDevice, testDType, testTolerance } from '../../../testdata/device.ts';
import { synthInput } from '../../../testdata/synthetic.ts';
import { floats, goldenCase, openTestdata, relativeError, syntheticStore } from './golden.ts';

const TOLERANCE = testTolerance(2e-5, 3e-3);

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

async function expected(name: string): Promise<Float32Array> {
  return floats(await openTestdata('golden/models_small.safetensors'), `${name}/out`);
}

/** Names and shapes equal the reference's, in order; tables are not in its list. */
function expectParameters(
  specs: ReturnType<typeof SparseStructureFlowModel.expectedParameters>,
  params: Record<string, number[]>,
): void {
  const trained = specs.filter(({ table }) => table === undefined);
  expect(trained.map(({ name, shape }) => [name, shape])).toEqual(Object.entries(params));
}

describe('SparseStructureFlowModel', () => {
  test.each(['ssflow_p1', 'ssflow_p2', 'ssflow_sharemod'])('%s', async (name) => {
    const { args, params } = await goldenCase(name);
    const model = describeModel('SparseStructureFlowModel', args, name);
    if (model.name !== 'SparseStructureFlowModel') throw new Error('wrong class');
    const specs = SparseStructureFlowModel.expectedParameters(model.config);
    expectParameters(specs, params);
    const before = device.memory().liveBytes;
    using flow = await SparseStructureFlowModel.load(syntheticStore(specs), model.config, device, {
      dtype: testDType(),
    });
    const loaded = device.memory().liveBytes;
    const out = await device.run(async () => {
      const x = device.tensor(synthInput('x', [2, 8, 8, 8, 8]), [2, 8, 8, 8, 8]);
      const cond = device.tensor(synthInput('cond', [2, 13, 48]), [2, 13, 48]);
      return flow.forward(x, [250, 900], flow.prepareCondition(cond)).floats();
    });
    const error = relativeError(out, await expected(name));
    expect(error).toBeLessThan(TOLERANCE);
    expect(device.memory().liveBytes).toBe(loaded);
    flow.dispose();
    expect(device.memory().liveBytes).toBe(before);
  });
});

describe('the occupancy VAE', () => {
  test.each(['ssdec_layer', 'ssdec_group'])('%s', async (name) => {
    const { args, params } = await goldenCase(name);
    const model = describeModel('SparseStructureDecoder', args, name);
    if (model.name !== 'SparseStructureDecoder') throw new Error('wrong class');
    const specs = SparseStructureDecoder.expectedParameters(model.config);
    expectParameters(specs, params);
    using decoder = await SparseStructureDecoder.load(syntheticStore(specs), model.config, device, {
      dtype: testDType(),
    });
    const out = await device.run(async () =>
      decoder.forward(device.tensor(synthInput('z', [2, 8, 8, 8, 8]), [2, 8, 8, 8, 8])).floats(),
    );
    const error = relativeError(out, await expected(name));
    expect(error).toBeLessThan(TOLERANCE);
  });

  test.each(['ssenc_layer', 'ssenc_group'])('%s', async (name) => {
    const { args, params } = await goldenCase(name);
    const model = describeModel('SparseStructureEncoder', args, name);
    if (model.name !== 'SparseStructureEncoder') throw new Error('wrong class');
    const specs = SparseStructureEncoder.expectedParameters(model.config);
    expectParameters(specs, params);
    using encoder = await SparseStructureEncoder.load(syntheticStore(specs), model.config, device, {
      dtype: testDType(),
    });
    const occupancy = synthInput('occ', [2, 1, 16, 16, 16]).map((value) => (value > 1 ? 1 : 0));
    const out = await device.run(async () =>
      encoder.forward(device.tensor(occupancy, [2, 1, 16, 16, 16])).mean.floats(),
    );
    const error = relativeError(out, await expected(name));
    expect(error).toBeLessThan(TOLERANCE);
  });
});
