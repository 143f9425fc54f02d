/** Lifetimes in the execution of ops: temporaries, failures, forced strategies and plans. */
import { expect, test } from 'vitest';
import {
  add,
  createCpuDevice,
  execute,
  InputError,
  mul,
  mulOp,
  negOp,
  OutOfMemoryError,
  sortByKey,
  sortByKeyOp,
  UnsupportedOpError,
  varianceOp,
  type Kernel,
} from '@pergola/core';
import { createDecomposingDevice } from './reference-devices.ts';
import { hostKernel, wrappedDevice, type WrappedBackend } from './wrapped-backend.ts';

test('temporaries of a decomposition are freed', async () => {
  using decomposing = await createDecomposingDevice();
  const x = decomposing.tensor([1, 2, 3, 4], [2, 2]);
  const [result] = execute(varianceOp, [x.transpose().alias()], { axes: [1], keepDims: false });
  expect(decomposing.memory().storages).toBe(2);
  expect(await result!.floats()).toEqual(Float32Array.of(1, 1));
});

test('outputs and copies are freed when a kernel fails to compile or to run', async () => {
  for (const step of ['prepare', 'run'] as const) {
    let backend: WrappedBackend | undefined;
    const failing = await wrappedDevice({
      kernel: (op): Kernel => ({
        ...hostKernel(op, () => backend!),
        ...(op.name === 'add' && {
          [step]: () => {
            throw new Error(`no ${step}`);
          },
        }),
      }),
    });
    ({ backend } = failing);
    const x = failing.tensor([1, 2, 3, 4], [2, 2]);
    const turned = x.transpose();
    expect(() => add(turned, turned)).toThrow(`no ${step}`);
    expect(failing.memory().storages).toBe(1);
  }
});

test('outputs already made are freed when the next does not fit', async () => {
  using small = await createCpuDevice({ threads: 1, maxBytes: 65536 * 64 });
  const keys = small.tensor(new Int32Array(400_000), [400_000]);
  const before = small.memory().liveBytes;
  // Reading grows nothing: 1.6 MB are taken, 1.6 MB more fit, and then no more.
  expect(() => sortByKey(keys)).toThrow(OutOfMemoryError);
  expect(small.memory().liveBytes).toBe(before);
});

test('unknown strategies are refused before any device work', async () => {
  let backend: WrappedBackend | undefined;
  const watched = await wrappedDevice({
    kernel: (op): Kernel | undefined =>
      op.name === 'sortByKey'
        ? { ...hostKernel(op, () => backend!), strategies: ['merge', 'radix'] }
        : undefined,
  });
  ({ backend } = watched);
  const keys = watched.tensor(Int32Array.of(3, 1, 2, 9), [2, 2]).transpose();
  const calls = { ...backend.calls };
  expect(() => execute(sortByKeyOp, [keys], {}, 'bogo')).toThrow(InputError);
  expect(() => execute(sortByKeyOp, [keys], {}, 'bogo')).toThrow(
    'sortByKey: strategy must be one of merge, radix, got bogo.',
  );
  expect(() => execute(negOp, [keys], {}, 'fast')).toThrow(
    'neg: strategy must be one of (none), got fast.',
  );
  expect(backend.calls).toEqual(calls);
  const [sorted] = execute(sortByKeyOp, [keys], {}, 'radix');
  expect(await sorted!.values()).toEqual(Int32Array.of(1, 9, 3, 2));
});

test('a forced strategy never falls back', async () => {
  const picky = await wrappedDevice({
    kernel: (op): Kernel => ({
      ...hostKernel(op, () => picky.backend),
      strategies: ['tiled'],
      supports: () => 'it wants even rows',
    }),
  });
  const x = picky.tensor([1, 2], [2]);
  expect(() => execute(negOp, [x], {}, 'tiled')).toThrow(UnsupportedOpError);
  expect(() => execute(negOp, [x], {}, 'tiled')).toThrow(
    'neg: strategy tiled cannot run this call: it wants even rows.',
  );
  expect(await execute(negOp, [x], {})[0]!.floats()).toEqual(Float32Array.of(-1, -2));
});

test('plans are made once for equal calls, and again for other attributes', async () => {
  let prepared = 0;
  const kernel: Kernel = {
    ...hostKernel(mulOp, () => counting.backend),
    prepare: (call) => {
      prepared++;
      return call;
    },
  };
  const counting = await wrappedDevice({ kernel: () => kernel });
  const x = counting.tensor([1, 2], [2]);
  const values: number[] = [];
  for (const scalar of [1, 1, NaN, NaN, Infinity, -Infinity, 0, -0]) {
    values.push((await mul(x, scalar).floats())[0]!);
  }
  expect(prepared).toBe(6);
  expect(values).toEqual([1, 1, NaN, NaN, Infinity, -Infinity, 0, -0]);
});
