/** groupNorm of dense tensors and sparseGroupNorm of packed rows. */
import { sizeOf, type GroupNormAttrs } from '@pergola/core';
import type { SparseGroupNormAttrs } from '@pergola/sparse';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

// Runs are one axis of a launch grid.
const MAX_RUNS = 65535;

export const groupNormKernel: CudaKernel<GroupNormAttrs> = {
  op: 'groupNorm',
  supports(call) {
    const runs = call.inputs[0]!.shape[0]! * call.attrs.groups;
    return runs <= MAX_RUNS ? fitsIndices(call) : `there are more than ${MAX_RUNS} groups`;
  },
  prepare(call, context) {
    const [x, weight, bias] = call.inputs;
    const { groups, eps } = call.attrs;
    const [batch, channels, ...extents] = x!.shape as [number, number, ...number[]];
    const params = new ParamBlock()
      .dtype(x!.dtype)
      .int(batch * groups, groups, channels / groups, sizeOf(extents))
      .float(eps)
      .dtype((weight ?? x!).dtype)
      .dtype((bias ?? x!).dtype);
    return planLaunch(context, 'groupNorm', call, params, 3);
  },
  run: runLaunch,
};

export const sparseGroupNormKernel: CudaKernel<SparseGroupNormAttrs> = {
  op: 'sparseGroupNorm',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, weight, bias, offsets] = call.inputs;
    const { groups, eps, activation } = call.attrs;
    const params = new ParamBlock()
      .dtype(x!.dtype)
      .int(x!.shape[0]!, x!.shape[1]!, groups, offsets!.shape[0]! - 1)
      .float(eps)
      .bool(activation === 'silu')
      .dtype((weight ?? x!).dtype)
      .dtype((bias ?? x!).dtype);
    return planLaunch(context, 'sparseGroupNorm', call, params);
  },
  run: runLaunch,
};
