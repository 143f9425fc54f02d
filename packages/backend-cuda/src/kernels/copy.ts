/** copy: strided to contiguous. */
import { bytesPerElement } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { MAX_AXES, mergeAxes, packBroadcast } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

export const copyKernel: CudaKernel = {
  op: 'copy',
  supports(call) {
    const x = call.inputs[0]!;
    const { extents } = mergeAxes(x.shape, [x.strides]);
    return extents.length <= MAX_AXES ? fitsIndices(call) : `more than ${MAX_AXES} axes remain`;
  },
  acceptsStrides: () => true,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const params = new ParamBlock().int(bytesPerElement(x.dtype));
    return planLaunch(
      context,
      'copy',
      call,
      packBroadcast(params, mergeAxes(x.shape, [x.strides])),
    );
  },
  run: runLaunch,
};
