/** clamp: bounds for floats as f32, bounds for integers within the range of the dtype. */
import { isFloat, type ClampAttrs, type DType } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { mergeAxes, packBroadcast } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

const RANGES: Readonly<Partial<Record<DType, readonly [low: number, high: number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  u8: [0, 255],
};

/** Integer bounds that mean the same for every value of the dtype; results beyond its range wrap. */
function integerBounds(dtype: DType, { min, max }: ClampAttrs): readonly [number, number] {
  const [low, high] = RANGES[dtype]!;
  if (min !== undefined && min > high) return [min, min];
  if (max !== undefined && max < low) return [max, max];
  return [Math.max(low, min ?? low), Math.min(high, max ?? high)];
}

export const clampKernel: CudaKernel<ClampAttrs> = {
  op: 'clamp',
  supports: fitsIndices,
  acceptsStrides: () => true,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const { min = -Infinity, max = Infinity } = call.attrs;
    const integers = isFloat(x.dtype) ? [0, 0] : integerBounds(x.dtype, call.attrs);
    const params = new ParamBlock()
      .dtype(x.dtype)
      .float(min, max)
      .int(...integers);
    return planLaunch(
      context,
      'clamp',
      call,
      packBroadcast(params, mergeAxes(x.shape, [x.strides])),
    );
  },
  run: runLaunch,
};
