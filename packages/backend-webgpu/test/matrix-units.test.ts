/** Products and attention on matrix units, which are emulated: see matrix-emulation.ts. */
import { env } from 'node:process';
import type { Device, TensorLayout } from '@pergola/core';
import { coreCases, describeResult, quickCases, runCase } from '@pergola/core/conformance';
import type { ProgramSpec, WebGpuContext } from '@pergola/backend-webgpu';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  chooseMatrixTiles,
  LARGE,
  NARROW_32,
  NARROW_64,
  NARROW_96,
  SMALL,
  WIDE_192,
  type MatrixTiles,
} from '../src/product/matrix-tiles.ts';
import { matrixSource } from '../src/product/operand.ts';
import type { Product } from '../src/product/problem.ts';
import { PlannedProduct } from '../src/product/product.ts';
import { ATTENTION_SHAPES, attentionShape } from '../scripts/attention-shapes.ts';
import { matrixShapeFits, type MatrixShape } from '../src/attention/matrix-shape.ts';
import { attentionOf, type Attention } from '../src/attention/problem.ts';
import { PlannedAttention } from '../src/kernels/attention.ts';
import { programSource } from '../src/wgsl/program.ts';
import { openDevice } from './adapter.ts';
import { emulateMatrixUnits, withMatrixUnits } from './matrix-emulation.ts';

const STRATEGY = 'subgroup-matrix';

// Minutes where cores are shared.
vi.setConfig({ testTimeout: 180_000 });

/** Leaves a device what matrix units do: f16, in one strategy. The suite would run all the others as well. */
function narrow({ backend }: Device): void {
  const kernelOf = backend.kernel.bind(backend);
  const dtypes = backend.info.dtypes.filter((dtype) => dtype !== 'f32');
  const kernel: typeof kernelOf = (op) => {
    const found = kernelOf(op);
    return found === undefined ? undefined : { ...found, strategies: [STRATEGY] };
  };
  Object.assign(backend, { info: { ...backend.info, dtypes }, kernel });
}

let device: Device;
beforeAll(async () => {
  device = emulateMatrixUnits(await openDevice({ development: false }));
  narrow(device);
});
afterAll(() => device.dispose());

// Each program is emulated at the price of seconds: the cases that take different ways through them.
const WAYS: Readonly<Record<string, RegExp>> = {
  attention: /^(sequences|windows), depth|^(causal|unbound|no keys|depth 33)$/,
  matmul: /^(rectangle|a transposed|both transposed|batch|64 cubed|large)$/,
  linear: /^(plain|transposed|sliced|geluTanh|large)$/,
};
const all = coreCases().filter(({ op, name }) => WAYS[op.name]?.test(name) === true);
// As in conformance.test.ts: the built files, made from the sources, run the short cut.
const cases = env['PERGOLA_TEST_DIST'] === '1' ? quickCases(all) : all;

describe.each([...new Set(cases.map(({ op }) => op.name))])('conformance of %s', (op) => {
  test.each(
    cases.filter((testCase) => testCase.op.name === op).map((item) => [item.name, item] as const),
  )('%s', async (_, testCase) => {
    const results = await runCase(device, testCase);
    const onUnits = results.filter(({ strategy }) => strategy === STRATEGY);
    expect(onUnits.map(({ dtype, status }) => [dtype, status])).toContainEqual(['f16', 'passed']);
    const failed = onUnits.filter(({ status }) => status === 'failed');
    expect(failed.map(describeResult)).toEqual([]);
  });
});

/** A product `x [rows, depth] x weight [columns, depth]^T + bias`, as `linear` makes them. */
function productOf(rows: number, columns: number, depth: number): Product {
  const common = { dtype: 'f16', depth, depthStride: 1, batchShape: [], batchStrides: [] } as const;
  return {
    label: 'tiles',
    dtype: 'f16',
    rows,
    columns,
    depth,
    batches: 1,
    left: matrixSource({ ...common, lines: rows, lineStride: depth }),
    right: matrixSource({ ...common, lines: columns, lineStride: depth }),
    biasStride: 1,
    activation: 'none',
    out: { batchStride: rows * columns, rowStride: columns, columnStride: 1 },
  };
}

/** Multiples of 1/8 between -1 and 1: their products and short sums are exact in f32. */
function eighths(length: number, seed: number): Float32Array {
  return Float32Array.from(
    { length },
    (_, i) => ((Math.imul(i + seed, 2654435761) >>> 24) % 17) / 8 - 1,
  );
}

const SHAPES: Readonly<Record<string, MatrixTiles>> = {
  LARGE,
  SMALL,
  WIDE_192,
  NARROW_96,
  NARROW_64,
  NARROW_32,
};

describe('tiles of products', () => {
  // Two tiles, their edges within a subgroup's part and within a matrix.
  test.each(Object.keys(SHAPES))('%s', async (name) => {
    const tiles = SHAPES[name]!;
    const [rows, columns, depth] = [tiles.rows - 45, tiles.columns + 24, tiles.depth + 8];
    const [x, weight, bias] = [
      eighths(rows * depth, 1),
      eighths(columns * depth, 2),
      eighths(columns, 3),
    ];
    const context = device.backend.context as WebGpuContext;
    const product = new PlannedProduct(context, productOf(rows, columns, depth), STRATEGY, tiles);
    const out = await device.run(async () => {
      const tensors = [
        device.tensor(x, [rows, depth], 'f16'),
        device.tensor(weight, [columns, depth], 'f16'),
        device.tensor(bias, [columns], 'f16'),
        device.tensor(new Float32Array(rows * columns).fill(9), [rows, columns], 'f16'),
      ];
      product.enqueue(
        tensors.map(({ storage }) => ({ buffer: storage.buffer as never, offset: 0 })),
      );
      return tensors[3]!.floats();
    });
    const wrong = out.findIndex((value, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      let sum = bias[column]!;
      for (let d = 0; d < depth; d++) sum += x[row * depth + d]! * weight[column * depth + d]!;
      // Sums of 1/64 below 32 are f16 numbers.
      return value !== sum;
    });
    expect(wrong).toBe(-1);
  });

  test('the shape that pads the columns least is chosen where there are many tiles', () => {
    const { capabilities } = device.backend.context as WebGpuContext;
    const chosen = (rows: number, columns: number): number =>
      chooseMatrixTiles(productOf(rows, columns, 40), capabilities).columns;
    expect([32, 64, 96, 192, 256, 576].map((columns) => chosen(128 * 96, columns))).toEqual([
      32, 64, 96, 192, 128, 192,
    ]);
    expect(chosen(128, 192)).toBe(SMALL.columns);
  });
});

/** Lengths of the sequences of a call, and the head size. */
interface Sequences {
  readonly queries: readonly number[];
  readonly keys: readonly number[];
  readonly heads: number;
  readonly depth: number;
  readonly causal: boolean;
}

function offsetsOf(lengths: readonly number[]): Int32Array {
  const all = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => (all[i + 1] = all[i]! + length));
  return all;
}

const SCALE = 0.7;

function problemOf({ queries, keys, heads, depth, causal }: Sequences): Attention {
  const layout = (shape: number[], dtype: 'f16' | 'i32'): TensorLayout => ({
    dtype,
    shape,
    strides: shape.map((_, i) => shape.slice(i + 1).reduce((size, extent) => size * extent, 1)),
    contiguous: true,
  });
  const rows = (lengths: readonly number[]): TensorLayout =>
    layout([offsetsOf(lengths).at(-1)!, heads, depth], 'f16');
  const offsets = layout([queries.length + 1], 'i32');
  return attentionOf({
    inputs: [rows(queries), rows(keys), rows(keys), offsets, offsets],
    outputs: [rows(queries)],
    attrs: { maxQ: Math.max(...queries), maxK: Math.max(...keys), causal, scale: SCALE },
  });
}

/** The softmax attention of one query and head over keys `[first, end)`. */
function attend(
  { heads, depth }: Sequences,
  [q, k, v]: readonly Float32Array[],
  [query, head, first, end]: readonly [number, number, number, number],
): Float64Array {
  const at = (row: number): number => (row * heads + head) * depth;
  const scores = Array.from({ length: end - first }, (_, i) => {
    let sum = 0;
    for (let d = 0; d < depth; d++) sum += q![at(query) + d]! * k![at(first + i) + d]!;
    return sum * SCALE;
  });
  const highest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const out = new Float64Array(depth);
  weights.forEach((weight, i) => {
    for (let d = 0; d < depth; d++) out[d]! += (weight / total) * v![at(first + i) + d]!;
  });
  return out;
}

/** The largest difference between results on the emulated units and `attend`. */
async function errorOf(shape: MatrixShape, sequences: Sequences): Promise<number> {
  const { queries, keys, heads, depth, causal } = sequences;
  const [offsetsQ, offsetsK] = [offsetsOf(queries), offsetsOf(keys)];
  const [rowsQ, rowsK] = [offsetsQ.at(-1)!, offsetsK.at(-1)!];
  const q = eighths(rowsQ * heads * depth, 1).map((x) => 2 * x);
  // Later keys are longer, so that reference maxima rise.
  const k = eighths(rowsK * heads * depth, 2).map(
    (x, i) => (x * (1 + Math.floor(i / heads / depth / 8))) / 4,
  );
  const v = eighths(rowsK * heads * depth, 3);
  // The values of a sequence without queries must not show.
  queries.forEach((length, i) => {
    if (length > 0) return;
    v.fill(NaN, offsetsK[i]! * heads * depth, offsetsK[i + 1]! * heads * depth);
  });
  const context = device.backend.context as WebGpuContext;
  const plan = new PlannedAttention(context, problemOf(sequences), STRATEGY, shape);
  const out = await device.run(async () => {
    const tensors = [
      device.tensor(q, [rowsQ, heads, depth], 'f16'),
      device.tensor(k, [rowsK, heads, depth], 'f16'),
      device.tensor(v, [rowsK, heads, depth], 'f16'),
      device.tensor(new Float32Array(q.length).fill(9), [rowsQ, heads, depth], 'f16'),
      device.tensor(offsetsQ, [offsetsQ.length], 'i32'),
      device.tensor(offsetsK, [offsetsK.length], 'i32'),
    ];
    const bound = tensors.map(({ storage }) => ({ buffer: storage.buffer as never, offset: 0 }));
    plan.enqueue(bound.slice(0, 4), bound.slice(4));
    return tensors[3]!.floats();
  });
  let largest = 0;
  queries.forEach((length, i) => {
    for (let row = 0; row < length; row++) {
      const seen = causal ? Math.min(keys[i]!, row + 1) : keys[i]!;
      for (let head = 0; head < heads; head++) {
        const [query, first] = [offsetsQ[i]! + row, offsetsK[i]!];
        const wanted = attend(sequences, [q, k, v], [query, head, first, first + seen]);
        wanted.forEach((value, d) => {
          const difference = Math.abs(out[(query * heads + head) * depth + d]! - value);
          if (!(difference <= largest)) largest = difference;
        });
      }
    }
  });
  return largest;
}

describe('shapes of attention', () => {
  test.each(ATTENTION_SHAPES)('%s', async (name) => {
    const packed = { heads: 2, depth: 24, queries: [70, 0, 3, 20], keys: [150, 7, 0, 33] };
    const { capabilities } = device.backend.context as WebGpuContext;
    const whole = attentionShape(name, packed.depth);
    // SwiftShader has less workgroup memory than GPUs.
    const resized = (subgroups: number): MatrixShape => ({ ...whole, subgroups });
    const shape = [whole.subgroups, 2, 1]
      .map(resized)
      .find((one) => matrixShapeFits(one, capabilities))!;
    expect(await errorOf(shape, { ...packed, causal: false })).toBeLessThan(2e-3);
    expect(await errorOf(shape, { ...packed, causal: true })).toBeLessThan(2e-3);
  });

  test('all compile', async () => {
    using blank = await openDevice({ dawnFlags: ['backend=null'] });
    const { gpu, capabilities } = blank.backend.context as WebGpuContext;
    const messages: string[] = [];
    const compiled: Promise<GPUCompilationInfo>[] = [];
    const context = {
      capabilities: withMatrixUnits(capabilities),
      program(spec: ProgramSpec) {
        const module = gpu.createShaderModule({ code: programSource(spec, true) });
        compiled.push(module.getCompilationInfo());
        return { spec, pack: () => new Uint32Array() };
      },
    } as unknown as WebGpuContext;
    const sequences = { heads: 2, queries: [70], keys: [150], causal: true };
    for (const name of ATTENTION_SHAPES) {
      for (const depth of [24, 33, 64, 80]) {
        const problem = problemOf({ ...sequences, depth });
        void new PlannedAttention(context, problem, STRATEGY, attentionShape(name, depth));
      }
    }
    for (const info of await Promise.all(compiled)) {
      messages.push(...info.messages.map(({ message }) => message));
    }
    expect(messages).toEqual([]);
    expect(compiled).toHaveLength(4 * ATTENTION_SHAPES.length);
  });
});
