/** Ops along one axis: argmax, argmin, cumsum and softmax. */
import type { ArgReduceAttrs, CumsumAttrs, KernelCall, SoftmaxAttrs } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';
import { splitAxis } from '../split-axis.ts';

/** dtype, and the axis with everything before and after it merged. */
function lineParams({ inputs, attrs }: KernelCall<{ readonly axis: number }>): ParamBlock {
  const x = inputs[0]!;
  const { outer, extent, inner } = splitAxis(x.shape, attrs.axis);
  return new ParamBlock().dtype(x.dtype).int(outer, extent, inner);
}

function argKernel(op: string): CudaKernel<ArgReduceAttrs> {
  return {
    op,
    supports: fitsIndices,
    prepare: (call, context) => planLaunch(context, op, call, lineParams(call)),
    run: runLaunch,
  };
}

export const argmaxKernel: CudaKernel<ArgReduceAttrs> = argKernel('argmax');

export const argminKernel: CudaKernel<ArgReduceAttrs> = argKernel('argmin');

export const softmaxKernel: CudaKernel<SoftmaxAttrs> = {
  op: 'softmax',
  supports: fitsIndices,
  prepare: (call, context) => planLaunch(context, 'softmax', call, lineParams(call)),
  run: runLaunch,
};

export const cumsumKernel: CudaKernel<CumsumAttrs> = {
  op: 'cumsum',
  supports: fitsIndices,
  prepare: (call, context) =>
    planLaunch(context, 'cumsum', call, lineParams(call).bool(call.attrs.exclusive)),
  run: runLaunch,
};
