/** Every program in the form it has on devices with f16, checked by Dawn's compiler without a GPU. */
import { expect, test } from 'vitest';
import { allocateStorage, sizeOf, type Device, type DType, type Tensor } from '@pergola/core';
import {
  caseDTypes,
  coreCases,
  type ConformanceCase,
  type InputFill,
} from '@pergola/core/conformance';
import { sparseCases } from '@pergola/sparse/conformance';
import { openDevice } from './adapter.ts';

function blank(device: Device, input: InputFill | undefined, float: DType): Tensor | undefined {
  if (input === undefined) return undefined;
  const dtype = input.dtype === 'float' ? float : input.dtype;
  const data = allocateStorage(dtype, sizeOf(input.shape));
  if (input.view !== 'transposed' || input.shape.length < 2) {
    return device.tensor(data, input.shape, dtype);
  }
  const [rows, columns] = input.shape.slice(-2) as [number, number];
  return device.tensor(data, [...input.shape.slice(0, -2), columns, rows], dtype).transpose();
}

async function compile(device: Device, testCase: ConformanceCase, float: DType): Promise<void> {
  const strategies = device.backend.kernel(testCase.op)?.strategies ?? [];
  for (const strategy of [undefined, ...strategies]) {
    using scope = device.scope();
    const inputs = testCase.inputs.map((input) => blank(device, input, float));
    try {
      device.execute(testCase.op, inputs, testCase.attrs, strategy);
    } catch (error) {
      // A strategy may refuse a call; the choice of the kernel may not.
      if (strategy === undefined) throw error;
    }
    expect(scope.open).toBe(true);
  }
}

test('programs compile for devices with f16 and subgroups of any size', async () => {
  using device = await openDevice({ dawnFlags: ['backend=null'] });
  expect(device.info.features).toEqual(expect.arrayContaining(['shader-f16', 'subgroups']));
  // Ops without a kernel are made of ops that have one.
  const cases = [...coreCases(), ...sparseCases()].filter(
    ({ op }) => device.backend.kernel(op) !== undefined,
  );
  for (const testCase of cases) {
    for (const dtype of caseDTypes(testCase, device.info.dtypes)) {
      if (dtype === 'f16') await compile(device, testCase, dtype);
    }
  }
  await device.sync();
});
