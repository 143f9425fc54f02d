/** Products and attention on matrix units, which are emulated: see matrix-emulation.ts. */
import { env } from 'node:process';
import type { Device } from '@pergola/core';
import { coreCases, describeResult, quickCases, runCase } from '@pergola/core/conformance';
import type { WebGpuContext } from '@pergola/backend-webgpu';
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
import { openDevice } from './adapter.ts';
import { emulateMatrixUnits } from './matrix-emulation.ts';

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
