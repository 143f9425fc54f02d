/** qkNorm: reads queries and keys out of a fused projection in place. */
import type { TensorLayout } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

function readsInPlace(x: TensorLayout): boolean {
  return x.strides[2] === 1 || x.shape[2] === 1;
}

export const qkNormKernel: CudaKernel = {
  op: 'qkNorm',
  supports: fitsIndices,
  acceptsStrides: ({ inputs: [x, gamma] }) => readsInPlace(x!) && gamma!.contiguous,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const [rows, heads, depth] = x.shape as [number, number, number];
    const params = new ParamBlock()
      .dtype(x.dtype)
      .int(rows, heads, depth)
      .int(x.strides[0]!, x.strides[1]!);
    return planLaunch(context, 'qkNorm', call, params);
  },
  run: runLaunch,
};
