/** Copying a strided tensor into row-major order. */
import { DTYPES } from '../dtype.ts';
import type { Op } from '../op.ts';

/**
 * Row-major copy of a tensor of any strides. `tensor.toContiguous()` calls it.
 *
 * The only op whose reference receives its input strided: the backend hands over a contiguous view of the
 * same elements, so the copy itself is the backend's gather.
 */
export const copyOp: Op = {
  name: 'copy',
  family: 'layout',
  inputs: [{ name: 'x', dtypes: DTYPES }],
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  reference([x], _attrs, [out]) {
    out!.data.set(x!.data);
  },
};
