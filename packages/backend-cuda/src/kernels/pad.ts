/** pad: a tensor surrounded by a constant. */
import { bytesPerElement, sizeOf, type PadAttrs } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { MAX_AXES } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';
import { elementBits } from './full.ts';

export const padKernel: CudaKernel<PadAttrs> = {
  op: 'pad',
  supports: fitsIndices,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const { shape } = call.outputs[0]!;
    const params = new ParamBlock()
      .int(bytesPerElement(x.dtype), elementBits(x.dtype, call.attrs.value))
      .int(shape.length, sizeOf(shape))
      .padded(shape, MAX_AXES, 1)
      .padded(x.shape, MAX_AXES, 1)
      .padded(call.attrs.before, MAX_AXES, 0);
    return planLaunch(context, 'pad', call, params);
  },
  run: runLaunch,
};
