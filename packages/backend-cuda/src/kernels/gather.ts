/** gather: slices along an axis by index. */
import { bytesPerElement, type GatherAttrs } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';
import { splitAxis } from '../split-axis.ts';

export const gatherKernel: CudaKernel<GatherAttrs> = {
  op: 'gather',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, index] = call.inputs;
    const { outer, extent, inner } = splitAxis(x!.shape, call.attrs.axis);
    const params = new ParamBlock().int(
      outer,
      extent,
      index!.shape[0]!,
      inner,
      bytesPerElement(x!.dtype),
    );
    return planLaunch(context, 'gather', call, params);
  },
  run: runLaunch,
};
