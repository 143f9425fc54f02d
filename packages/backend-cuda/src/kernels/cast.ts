/** cast: every pair of dtypes. */
import type { CastAttrs } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { mergeAxes, packBroadcast } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

export const castKernel: CudaKernel<CastAttrs> = {
  op: 'cast',
  supports: fitsIndices,
  acceptsStrides: () => true,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const params = new ParamBlock().dtype(x.dtype).dtype(call.attrs.dtype);
    return planLaunch(
      context,
      'cast',
      call,
      packBroadcast(params, mergeAxes(x.shape, [x.strides])),
    );
  },
  run: runLaunch,
};
