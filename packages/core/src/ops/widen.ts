/** Rounding discipline of decompositions: compute in f32, round once at the end. */
import type { DType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

/** x in f32; x itself when it is f32 already. */
export function widen(x: Tensor): Tensor {
  return x.dtype === 'f32' ? x : cast(x, 'f32');
}

/** An f32 result in the dtype that the op promises. */
export function narrow(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : cast(x, dtype);
}
