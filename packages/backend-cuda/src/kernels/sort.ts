/** sortByKey, uniqueByKey, uniqueCoords and argwhere. */
import { sizeOf, type TensorLayout } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { MAX_AXES } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

function keyParams(keys: TensorLayout): ParamBlock {
  return new ParamBlock().dtype(keys.dtype).int(keys.shape[0]!, keys.shape[1] ?? 1);
}

function keyKernel(op: string): CudaKernel {
  return {
    op,
    supports: fitsIndices,
    prepare: (call, context) => planLaunch(context, op, call, keyParams(call.inputs[0]!)),
    run: runLaunch,
  };
}

export const sortByKeyKernel: CudaKernel = keyKernel('sortByKey');

export const uniqueByKeyKernel: CudaKernel = keyKernel('uniqueByKey');

export const uniqueCoordsKernel: CudaKernel = {
  op: 'uniqueCoords',
  supports: fitsIndices,
  prepare: (call, context) =>
    planLaunch(context, 'uniqueCoords', call, new ParamBlock().int(call.inputs[0]!.shape[0]!)),
  run: runLaunch,
};

export const argwhereKernel: CudaKernel = {
  op: 'argwhere',
  supports: fitsIndices,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const params = new ParamBlock()
      .dtype(x.dtype)
      .int(x.shape.length, sizeOf(x.shape))
      .padded(x.shape, MAX_AXES, 1);
    return planLaunch(context, 'argwhere', call, params);
  },
  run: runLaunch,
};
