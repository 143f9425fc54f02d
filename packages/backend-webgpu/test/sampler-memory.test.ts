/** Memory over a long run of a sampler: a thousand steps of a micro network take no more than the first few. */
import { canRecord, type Device, type MemoryReport } from '@pergola/core';
import {
  describeModel,
  sampleFlow,
  SparseStructureFlowModel,
  TimeSlot,
  type SparseStructureFlowConfig,
} from '@pergola/trellis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';
import { syntheticStore } from '../../trellis/test/golden.ts';
import { openDevice } from './adapter.ts';

const STEPS = 1000;
// One step to warm up and one to record; the pool settles with the steps after them.
const SETTLED = 5;
const LATENT = [1, 2, 4, 4, 4];
const ARGS = {
  resolution: 4,
  in_channels: 2,
  out_channels: 2,
  model_channels: 8,
  cond_channels: 8,
  num_blocks: 1,
  num_heads: 1,
  mlp_ratio: 1,
  patch_size: 2,
};

vi.setConfig({ testTimeout: 180_000 });

let device: Device;
beforeAll(async () => {
  // Thousands of dispatches: validation would double the time.
  device = await openDevice({ development: false });
});
afterAll(() => device.dispose());

/** What the device held after each step. */
async function memoryOfSteps(recorded: boolean): Promise<MemoryReport[]> {
  const config = describeModel('SparseStructureFlowModel', ARGS, 'micro')
    .config as SparseStructureFlowConfig;
  const store = syntheticStore(SparseStructureFlowModel.expectedParameters(config));
  using flow = await SparseStructureFlowModel.load(store, config, device);
  using noise = device.tensor(synthInput('noise', LATENT), LATENT);
  using tokens = device.tensor(synthInput('cond', [1, 3, 8]), [1, 3, 8]);
  using condition = flow.prepareCondition(tokens);
  const slot = new TimeSlot(device, 1);
  const all: MemoryReport[] = [];
  using sample = await sampleFlow(
    {
      name: 'FlowEulerSampler',
      sigmaMin: 1e-5,
      params: { steps: STEPS, rescaleT: 1, cfgStrength: 0, cfgInterval: [0, 1] },
    },
    (x, time, which) => flow.forward(x, recorded ? slot : time, which),
    noise,
    {
      conditions: [condition],
      setTime: recorded ? (time) => slot.set(time) : undefined,
      onStep: () => {
        all.push(device.memory());
      },
    },
  );
  expect((await sample.floats()).every(Number.isFinite)).toBe(true);
  slot.dispose();
  return all;
}

test.each([
  ['enqueued anew', false],
  ['recorded once and replayed', true],
])('steps %s leave live and pooled memory flat', async (_, recorded) => {
  // Else both would be the same run.
  expect(canRecord(device)).toBe(true);
  const all = await memoryOfSteps(recorded);
  expect(all).toHaveLength(STEPS);
  const settled = all[SETTLED]!;
  expect(settled.liveBytes).toBeGreaterThan(0);
  expect(all.slice(SETTLED).findIndex((memory) => memory.pooledBytes !== settled.pooledBytes)).toBe(
    -1,
  );
  expect(all.slice(SETTLED).findIndex((memory) => memory.liveBytes !== settled.liveBytes)).toBe(-1);
  expect(all.at(-1)).toEqual(settled);
  expect(device.memory().liveBytes).toBe(0);
});
