/** layerNorm, rmsNorm and layerNormModulate: normalisations of rows. */
import {
  sizeOf,
  type LayerNormAttrs,
  type LayerNormModulateAttrs,
  type RmsNormAttrs,
  type TensorLayout,
} from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

/** A `RowShape` of native/row_norm.cuh: the last axis is the row. */
function rowParams(x: TensorLayout, eps: number): ParamBlock {
  const channels = x.shape.at(-1)!;
  return new ParamBlock()
    .dtype(x.dtype)
    .int(sizeOf(x.shape) / channels, channels)
    .float(eps);
}

export const layerNormKernel: CudaKernel<LayerNormAttrs> = {
  op: 'layerNorm',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, weight, bias] = call.inputs;
    const params = rowParams(x!, call.attrs.eps)
      .dtype((weight ?? x!).dtype)
      .dtype((bias ?? x!).dtype);
    return planLaunch(context, 'layerNorm', call, params, 3);
  },
  run: runLaunch,
};

export const rmsNormKernel: CudaKernel<RmsNormAttrs> = {
  op: 'rmsNorm',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, weight] = call.inputs;
    const params = rowParams(x!, call.attrs.eps)
      .dtype((weight ?? x!).dtype)
      .dtype(x!.dtype);
    return planLaunch(context, 'rmsNorm', call, params, 2);
  },
  run: runLaunch,
};

export const layerNormModulateKernel: CudaKernel<LayerNormModulateAttrs> = {
  op: 'layerNormModulate',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, , , offsets] = call.inputs;
    const params = rowParams(x!, call.attrs.eps)
      .int(offsets!.shape[0]! - 1)
      .bool(call.attrs.activation === 'silu');
    return planLaunch(context, 'layerNormModulate', call, params);
  },
  run: runLaunch,
};
