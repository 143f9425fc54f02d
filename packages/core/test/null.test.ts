import { expect, test } from 'vitest';
import {
  argwhere,
  callCost,
  coreOps,
  createNullDevice,
  layerNorm,
  LifetimeError,
  linear,
  matmul,
  OutOfMemoryError,
  ShapeError,
  sizeOf,
  softmax,
  uniqueByKey,
  UnsupportedOpError,
  DTypeError,
} from '@pergola/core';
import {
  badInputCases,
  coreCases,
  prepareCase,
  runConformance,
  type Exclusion,
  type InputFill,
} from '@pergola/core/conformance';

test('a small network is planned: ops, costs, memory', () => {
  using device = createNullDevice();
  const x = device.tensor(new Float32Array(64 * 128), [64, 128]);
  const weight = device.tensor(new Float32Array(256 * 128), [256, 128]);
  const y = device.run(() => linear(layerNorm(x), weight, undefined, { activation: 'silu' }));
  expect(y.shape).toEqual([64, 256]);
  const { plan } = device;
  expect(plan.ops.map(({ op }) => op)).toEqual(['layerNorm', 'linear']);
  const [norm, dense] = plan.ops;
  expect(norm).toMatchObject({
    attrs: { eps: 1e-5 },
    outputs: [{ dtype: 'f32', shape: [64, 128] }],
  });
  expect(norm?.inputs).toEqual([{ dtype: 'f32', shape: [64, 128] }, undefined, undefined]);
  expect(dense?.cost.flops).toBeGreaterThanOrEqual(2 * 64 * 128 * 256);
  expect(plan.flops).toBe(norm!.cost.flops + dense!.cost.flops);
  expect(plan.bytes).toBe(norm!.cost.bytes + dense!.cost.bytes);
  const [given, hidden, out] = [4 * (64 * 128 + 256 * 128), 4 * 64 * 128, 4 * 64 * 256];
  expect(norm?.liveBytes).toBe(given + hidden);
  expect(dense?.liveBytes).toBe(given + hidden + out);
  expect(plan.peakBytes).toBe(given + hidden + out);
  expect(device.memory()).toMatchObject({ liveBytes: given + out, peakBytes: plan.peakBytes });
  device.restartPlan();
  expect(plan.ops).toEqual([]);
  expect(plan.peakBytes).toBe(given + out);
});

test('every conformance case is planned with the declared outputs and leaves no memory', () => {
  using device = createNullDevice();
  for (const testCase of coreCases()) {
    const name = `${testCase.op.name} / ${testCase.name}`;
    const { inputs, outputs, cost } = prepareCase(testCase, 'f16');
    const before = device.plan.ops.length;
    const given = inputs.map((input) => {
      if (input === undefined) return undefined;
      const base = device.empty(input.base.dtype, input.base.shape);
      const tensor = input.cut(base);
      if (tensor !== base) base.dispose();
      return tensor;
    });
    const results = device.execute(testCase.op, given, testCase.attrs);
    expect(results, name).toMatchObject(outputs);
    const planned = device.plan.ops.slice(before);
    const empty = outputs.every(({ shape }) => sizeOf(shape) === 0);
    expect(planned.length, name).toBe(empty ? 0 : 1);
    if (!empty) expect(planned[0]?.cost, name).toEqual(cost);
    for (const tensor of [...given, ...results]) tensor?.dispose();
    expect(device.memory().liveBytes, name).toBe(0);
  }
});

test('bad input is refused and not planned', () => {
  using device = createNullDevice();
  const testCase = coreCases().find(({ op }) => op.name === 'attention')!;
  const make = (input: InputFill | undefined) =>
    input && device.empty(input.dtype === 'float' ? 'f32' : input.dtype, input.shape);
  for (const bad of badInputCases(testCase.op, testCase)) {
    const inputs = bad.inputs.map(make);
    expect(() => device.execute(bad.op, inputs, bad.attrs)).toThrow(/^attention: .+\.$/);
  }
  expect(device.plan.ops).toEqual([]);
});

test('data cannot be read, as one sentence says', async () => {
  using device = createNullDevice();
  const x = device.tensor([1, 2, 3, 4], [2, 2]);
  const y = softmax(x);
  for (const tensor of [x, y, x.select(0, 0).select(0, 0)]) {
    await expect(tensor.data()).rejects.toThrow(UnsupportedOpError);
  }
  await expect(y.floats()).rejects.toThrow(
    'null: data cannot be read, because nothing is computed (only counts have an upper bound).',
  );
  await device.sync();
});

test('data-dependent sizes are planned at their upper bound', async () => {
  using device = createNullDevice();
  const keys = device.tensor(new Int32Array(50 * 4), [50, 4]);
  const unique = await uniqueByKey(keys);
  expect(unique.keys.shape).toEqual([50, 4]);
  expect(unique.counts.shape).toEqual([50]);
  const found = await argwhere(device.tensor(new Float32Array(24), [2, 3, 4]));
  expect(found.shape).toEqual([24, 3]);
});

test('ops without kernels are planned by their decomposition', () => {
  using device = createNullDevice({ withoutKernels: ['softmax', 'max', 'matmul'] });
  const x = device.tensor(new Float32Array(12), [3, 4], 'f16');
  expect(() => softmax(x)).toThrow(
    'max: null cannot run it for (f32): it has no kernel for this op.',
  );
  expect(() => matmul(x, x.transpose())).toThrow(UnsupportedOpError);
  using other = createNullDevice({ withoutKernels: ['softmax'] });
  softmax(other.tensor(new Float32Array(12), [3, 4], 'f16'));
  const planned = other.plan.ops.map(({ op }) => op);
  expect(planned[0]).toBe('cast');
  expect(planned).toContain('exp');
  expect(planned).not.toContain('softmax');
  expect(other.memory().storages).toBe(2);
});

test('strided inputs are planned in place, equal calls share a plan', () => {
  using device = createNullDevice();
  const x = device.tensor(new Float32Array(12), [3, 4]);
  layerNorm(x.transpose());
  layerNorm(x.transpose());
  expect(device.plan.ops.map(({ op }) => op)).toEqual(['layerNorm', 'layerNorm']);
  expect(device.plan.ops[0]?.inputs[0]?.shape).toEqual([4, 3]);
});

test('memory and dtypes can be those of another device', () => {
  using device = createNullDevice({ memoryBytes: 1024, dtypes: ['f32'] });
  expect(device.info).toMatchObject({ memoryBytes: 1024, maxBufferBytes: 1024, dtypes: ['f32'] });
  expect(() => device.tensor([1], [1], 'f16')).toThrow(DTypeError);
  const x = device.tensor(new Float32Array(128), [128]);
  expect(() => softmax(x)).not.toThrow();
  expect(() => device.tensor(new Float32Array(128), [128])).toThrow(OutOfMemoryError);
  expect(() => device.tensor(new Float32Array(2), [3])).toThrow(ShapeError);
  device.dispose();
  expect(() => softmax(x)).toThrow(LifetimeError);
});

test('an op without a cost of its own counts its bytes', () => {
  const testCase = coreCases().find(({ op }) => op.name === 'gather')!;
  const { inputs, outputs } = prepareCase(testCase, 'f16');
  const cost = callCost(testCase.op, inputs, testCase.attrs, outputs);
  expect(cost).toEqual({ flops: 0, bytes: 2 * 9 * 7 + 4 * 13 + 2 * 13 * 7 });
});

const exclusions: readonly Exclusion[] = coreOps().map((op) => ({
  op: op.name,
  reason: 'the null backend computes nothing',
}));

test('the conformance suite fails on it, as its exclusions say', async () => {
  using device = createNullDevice();
  const options = { quick: true, exclusions };
  const { passed, failed, excluded } = await runConformance(device, coreCases(), options);
  expect([passed, failed]).toEqual([0, 0]);
  expect(excluded).toBeGreaterThan(coreOps().length);
});
