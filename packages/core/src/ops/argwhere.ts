/** Coordinates of the elements that are not zero. */
import { execute } from '../device.ts';
import { DTYPES } from '../dtype.ts';
import type { Op } from '../op.ts';
import { contiguousStrides, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { takeLeadingRows } from './leading-rows.ts';

/**
 * Outputs: coordinates i32 `[size of x, rank of x]` and i32 `[1]`, the number of coordinates found. Rows after them
 * are 0.
 */
export const argwhereOp: Op = {
  name: 'argwhere',
  family: 'sort',
  inputs: [{ name: 'x', dtypes: DTYPES, rank: [1, 8] }],
  infer: ([x]) => [
    { dtype: 'i32', shape: [sizeOf(x!.shape), x!.shape.length] },
    { dtype: 'i32', shape: [1] },
  ],
  reference([x], _attrs, [coordinates, count]) {
    const { shape } = x!;
    const strides = contiguousStrides(shape);
    coordinates!.data.fill(0);
    let found = 0;
    for (let i = 0; i < x!.data.length; i++) {
      if (x!.data[i] === 0) continue;
      for (let axis = 0; axis < shape.length; axis++) {
        const position = Math.floor(i / strides[axis]!) % shape[axis]!;
        coordinates!.data[found * shape.length + axis] = position;
      }
      found++;
    }
    count!.data[0] = found;
  },
};

/**
 * Coordinates of all elements that differ from 0 (NaN does), in row-major order. Waits for the device to learn their
 * number.
 *
 * @param x `[...]` of any dtype, rank 1 to 8.
 * @returns i32 `[n, rank of x]`.
 * @throws ShapeError, DTypeError.
 */
export async function argwhere(x: Tensor): Promise<Tensor> {
  const [coordinates, count] = execute(argwhereOp, [x], {});
  const found = await count!.item();
  count!.dispose();
  return takeLeadingRows(coordinates!, found);
}
