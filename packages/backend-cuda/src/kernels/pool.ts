/** maxPool and avgPool of images and volumes. */
import { sizeOf, type PoolAttrs } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

function poolKernel(op: string): CudaKernel<PoolAttrs> {
  return {
    op,
    supports: fitsIndices,
    prepare(call, context) {
      const x = call.inputs[0]!;
      const out = call.outputs[0]!.shape;
      const { kernel, stride, padding } = call.attrs;
      // An image is a volume one voxel deep.
      const params = new ParamBlock()
        .dtype(x.dtype)
        .int(sizeOf(out))
        .padded(x.shape.slice(2), 3, 1)
        .padded(out.slice(2), 3, 1)
        .padded(kernel, 3, 1)
        .padded(stride, 3, 1)
        .padded(padding, 3, 0);
      return planLaunch(context, op, call, params);
    },
    run: runLaunch,
  };
}

export const maxPoolKernel: CudaKernel<PoolAttrs> = poolKernel('maxPool');

export const avgPoolKernel: CudaKernel<PoolAttrs> = poolKernel('avgPool');
