/** Embeddings against the reference, and the shortcuts and half-precision paths of the networks against the long way. */
import { ShapeError, type Device, type Tensor } from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  describeModel,
  embedPositions,
  gridPositionTable,
  SLatEncoder,
  SLatFlowModel,
  SparseStructureDecoder,
  SparseStructureFlowModel,
  TimeSlot,
  timestepSinusoids,
  uploadPositionTable,
  type SLatEncoderConfig,
  type SLatFlowConfig,
  type SparseStructureDecoderConfig,
  type SparseStructureFlowConfig,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestDevice } from '../../../testdata/device.ts';
import { synthInput } from '../../../testdata/synthetic.ts';
import {
  floats,
  goldenCase,
  integers,
  openTestdata,
  relativeError,
  syntheticStore,
} from './golden.ts';

let device: Device;
let sparse: Awaited<ReturnType<typeof openTestdata>>;
let small: Awaited<ReturnType<typeof openTestdata>>;
beforeAll(async () => {
  device = await openTestDevice();
  sparse = await openTestdata('golden/sparse.safetensors');
  small = await openTestdata('golden/models_small.safetensors');
});
afterAll(() => device.dispose());

describe('embeddings', () => {
  test('of the flow time', async () => {
    const expected = await floats(sparse, 'timestep_embedding/out');
    // What is left is one unit in the last place of some of the reference's frequencies, times 1000.
    expect(relativeError(timestepSinusoids([0, 1.5, 250, 1000]), expected)).toBeLessThan(2e-6);
  });

  test.each([64, 100])('of positions, %i channels wide', async (channels) => {
    const coords = await integers(sparse, 'coords/A');
    const expected = await floats(sparse, `ape_${channels}/out`);
    const out = await device.run(async () => {
      const tensor = device.tensor(coords, [coords.length / 4, 4]);
      return embedPositions(tensor, uploadPositionTable(device, channels), channels).floats();
    });
    expect(relativeError(out, expected)).toBeLessThan(1e-6);
    // The table of a grid has the same rows.
    const table = gridPositionTable(16, channels);
    for (let row = 0; row < 50; row++) {
      const [x, y, z] = [...coords.subarray(4 * row + 1, 4 * row + 4)] as [number, number, number];
      const at = ((x * 16 + y) * 16 + z) * channels;
      expect(table.slice(at, at + channels)).toEqual(
        out.slice(row * channels, (row + 1) * channels),
      );
    }
  });
});

async function structureFlow(dtype: 'f32' | 'f16' = 'f32'): Promise<SparseStructureFlowModel> {
  const { args } = await goldenCase('ssflow_p1');
  const config = describeModel('SparseStructureFlowModel', args, 'test')
    .config as SparseStructureFlowConfig;
  const specs = SparseStructureFlowModel.expectedParameters(config);
  return SparseStructureFlowModel.load(syntheticStore(specs), config, device, { dtype });
}

describe('conditions', () => {
  let flow: SparseStructureFlowModel;
  let x: Tensor;
  beforeAll(async () => {
    flow = await structureFlow();
    x = device.tensor(synthInput('x', [2, 8, 8, 8, 8]), [2, 8, 8, 8, 8]);
  });
  afterAll(() => flow.dispose());

  test('of zeros need no attention', async () => {
    const attended: string[] = [];
    const [long, short] = await device.run(async () => {
      const zeros = device.tensor(new Float32Array(2 * 13 * 48), [2, 13, 48]);
      const long = flow.forward(x, [250, 900], flow.prepareCondition(zeros));
      const none = flow.prepareNullCondition();
      device.onExecute = ({ op }) => {
        if (op === 'attention') attended.push(op);
      };
      const short = flow.forward(x, [250, 900], none);
      device.onExecute = undefined;
      return [await long.floats(), await short.floats()];
    });
    expect(relativeError(short, long)).toBeLessThan(1e-6);
    // Three blocks: self-attention only.
    expect(attended).toHaveLength(3);
  });

  test('of batch size 1 serve the whole batch', async () => {
    const one = synthInput('cond', [13, 48]);
    const two = new Float32Array(2 * one.length);
    two.set(one);
    two.set(one, one.length);
    const [shared, repeated] = await device.run(async () => {
      const single = flow.prepareCondition(device.tensor(one, [1, 13, 48]));
      const double = flow.prepareCondition(device.tensor(two, [2, 13, 48]));
      return [
        await flow.forward(x, 500, single).floats(),
        await flow.forward(x, [500, 500], double).floats(),
      ];
    });
    expect(relativeError(shared, repeated)).toBeLessThan(1e-6);
  });

  test('and times on the device give the same velocity as numbers', async () => {
    const before = device.memory().storages;
    const [slots, numbers] = await device.run(async () => {
      const condition = flow.prepareCondition(
        device.tensor(synthInput('cond', [2, 13, 48]), [2, 13, 48]),
      );
      const slot = new TimeSlot(device, 2);
      slot.set(500);
      expect(() => flow.forward(x, new TimeSlot(device, 3), condition)).toThrow(ShapeError);
      return [
        await flow.forward(x, slot, condition).floats(),
        await flow.forward(x, 500, condition).floats(),
      ];
    });
    expect(relativeError(slots, numbers)).toBe(0);
    expect(device.memory().storages).toBe(before);
  });

  test('are returned from scopes and freed as a whole', async () => {
    const before = device.memory().storages;
    const condition = device.run(() =>
      flow.prepareCondition(device.tensor(synthInput('cond', [2, 13, 48]), [2, 13, 48])),
    );
    expect(device.memory().storages).toBeGreaterThan(before);
    condition.dispose();
    condition.dispose();
    expect(device.memory().storages).toBe(before);
  });

  test('and inputs that do not fit meet one sentence', () => {
    device.run(() => {
      const narrow = device.tensor(new Float32Array(12), [1, 3, 4]);
      expect(() => flow.prepareCondition(narrow)).toThrow(
        'prepareCondition: condition must be [B, L, 48], got [1, 3, 4].',
      );
      const three = flow.prepareCondition(device.tensor(new Float32Array(3 * 48), [3, 1, 48]));
      expect(() => flow.forward(x, 500, three)).toThrow(
        'sparseStructureFlow: condition must hold 1 or 2 conditions for a batch of 2, got 3.',
      );
      const none = flow.prepareNullCondition();
      expect(() => flow.forward(x, [500], none)).toThrow(ShapeError);
      expect(() => flow.forward(narrow, 500, none)).toThrow(
        'sparseStructureFlow: x must be [B, 8, 8, 8, 8], got [1, 3, 4].',
      );
    });
  });
});

// The bound that the reference's own half-precision path keeps.
const HALF_TOLERANCE = 3e-3;

/** Features on the second golden coordinate set. */
async function sparseInput(name: string, channels: number): Promise<SparseTensor> {
  const coords = await integers(sparse, 'coords/r32');
  const count = coords.length / 4;
  using tensor = device.tensor(coords, [count, 4]);
  const structure = await SparseStructure.create(tensor);
  const shape = [count, channels];
  return new SparseTensor(structure, device.tensor(synthInput(name, shape), shape));
}

describe('a half-precision torso stays near f32', () => {
  test('in the structure flow', async () => {
    using flow = await structureFlow('f16');
    const out = await device.run(async () => {
      const x = device.tensor(synthInput('x', [2, 8, 8, 8, 8]), [2, 8, 8, 8, 8]);
      const cond = device.tensor(synthInput('cond', [2, 13, 48]), [2, 13, 48]);
      const velocity = flow.forward(x, [250, 900], flow.prepareCondition(cond));
      expect(velocity.dtype).toBe('f32');
      return velocity.floats();
    });
    const error = relativeError(out, await floats(small, 'ssflow_p1/out'));
    expect(error).toBeLessThan(HALF_TOLERANCE);
    // Half precision did run.
    expect(error).toBeGreaterThan(1e-4);
  });

  test('in the latent flow', async () => {
    const { args } = await goldenCase('slatflow');
    const config = describeModel('SLatFlowModel', args, 'test').config as SLatFlowConfig;
    const store = syntheticStore(SLatFlowModel.expectedParameters(config));
    using flow = await SLatFlowModel.load(store, config, device, { dtype: 'f16' });
    using x = await sparseInput('x', 8);
    using cond = device.tensor(synthInput('cond', [2, 13, 48]), [2, 13, 48]);
    using condition = flow.prepareCondition(cond);
    using out = await flow.forward(x, [250, 900], condition);
    const error = relativeError(await out.feats.floats(), await floats(small, 'slatflow/out'));
    expect(error).toBeLessThan(HALF_TOLERANCE);
    expect(error).toBeGreaterThan(1e-4);
    x.structure.dispose();
  });

  test('in the windowed torso', async () => {
    const { args } = await goldenCase('slatenc');
    const config = describeModel('SLatEncoder', args, 'test').config as SLatEncoderConfig;
    const store = syntheticStore(SLatEncoder.expectedParameters(config));
    using encoder = await SLatEncoder.load(store, config, device, { dtype: 'f16' });
    using x = await sparseInput('feat', 40);
    const { mean, logVariance } = await encoder.forward(x);
    const error = relativeError(await mean.feats.floats(), await floats(small, 'slatenc/mean'));
    expect(error).toBeLessThan(HALF_TOLERANCE);
    expect(error).toBeGreaterThan(1e-4);
    for (const part of [mean, logVariance]) part.dispose();
    x.structure.dispose();
  });

  test('in the occupancy decoder', async () => {
    const { args } = await goldenCase('ssdec_layer');
    const config = describeModel('SparseStructureDecoder', args, 'test')
      .config as SparseStructureDecoderConfig;
    const store = syntheticStore(SparseStructureDecoder.expectedParameters(config));
    using decoder = await SparseStructureDecoder.load(store, config, device, { dtype: 'f16' });
    const out = await device.run(async () => {
      const latent = device.tensor(synthInput('z', [2, 8, 8, 8, 8]), [2, 8, 8, 8, 8]);
      return decoder.forward(latent).floats();
    });
    const error = relativeError(out, await floats(small, 'ssdec_layer/out'));
    expect(error).toBeLessThan(HALF_TOLERANCE);
    expect(error).toBeGreaterThan(1e-4);
  });
});

test('an empty batch element changes nothing for the others', async () => {
  const { args } = await goldenCase('slatflow');
  const config = describeModel('SLatFlowModel', args, 'test').config as SLatFlowConfig;
  using flow = await SLatFlowModel.load(
    syntheticStore(SLatFlowModel.expectedParameters(config)),
    config,
    device,
  );
  const all = await integers(sparse, 'coords/r32');
  const count = 200;
  const first = all.slice(0, 4 * count);
  const outputs = [];
  // Alone, then as the middle of three elements of which the others are empty.
  for (const [element, batchSize] of [
    [0, 1],
    [1, 3],
  ] as const) {
    const coords = first.map((value, i) => (i % 4 === 0 ? element : value));
    using tensor = device.tensor(coords, [count, 4]);
    using structure = await SparseStructure.create(tensor, { batchSize });
    using x = new SparseTensor(structure, device.tensor(synthInput('x', [count, 8]), [count, 8]));
    using cond = device.tensor(synthInput('cond', [1, 13, 48]), [1, 13, 48]);
    using condition = flow.prepareCondition(cond);
    using out = await flow.forward(x, 500, condition);
    outputs.push(await out.feats.floats());
  }
  expect(relativeError(outputs[1]!, outputs[0]!)).toBeLessThan(1e-6);
});

test('a condition of another network is refused', async () => {
  using one = await structureFlow();
  using other = await structureFlow();
  using x = device.tensor(synthInput('x', [1, 8, 8, 8, 8]), [1, 8, 8, 8, 8]);
  using condition = other.prepareNullCondition();
  expect(() => one.forward(x, 500, condition)).toThrow(
    "sparseStructureFlow: condition must be prepared by this network, got another's.",
  );
});

test('levels above the transformer may be nested', async () => {
  const { args } = await goldenCase('slatflow');
  const deep = { ...args, patch_size: 4, io_block_channels: [16, 32], num_blocks: 1 };
  const config = describeModel('SLatFlowModel', deep, 'test').config as SLatFlowConfig;
  const specs = SLatFlowModel.expectedParameters(config);
  const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
  expect(shapes.get('input_blocks.3.conv1.conv.weight')).toEqual([64, 3, 3, 3, 32]);
  expect(shapes.get('out_blocks.0.norm1.weight')).toEqual([128]);
  expect(shapes.get('out_blocks.2.conv1.conv.weight')).toEqual([16, 3, 3, 3, 64]);
  using flow = await SLatFlowModel.load(syntheticStore(specs), config, device);
  using x = await sparseInput('x', 8);
  using condition = flow.prepareNullCondition();
  using out = await flow.forward(x, 500, condition);
  expect(out.structure).toBe(x.structure);
  const values = await out.feats.floats();
  expect(values.every(Number.isFinite)).toBe(true);
  x.structure.dispose();
});
