/** Ops on coordinate rows: moving, subdividing, outputs of strided convolutions, curve codes, batch offsets. */
import type { KernelCall } from '@pergola/core';
import type {
  BatchOffsetsAttrs,
  ConvOutputCoordsAttrs,
  CurveCodesAttrs,
  TransformCoordsAttrs,
} from '@pergola/sparse';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

/** A kernel whose launcher has the name of the op; the block starts with the number of input rows. */
function coordsKernel<Attrs extends object>(
  op: string,
  pack: (params: ParamBlock, call: KernelCall<Attrs>) => void = () => {},
): CudaKernel<Attrs> {
  return {
    op,
    supports: fitsIndices,
    prepare(call, context) {
      const params = new ParamBlock().int(call.inputs[0]!.shape[0]!);
      pack(params, call);
      return planLaunch(context, op, call, params);
    },
    run: runLaunch,
  };
}

export const transformCoordsKernel: CudaKernel<TransformCoordsAttrs> = coordsKernel(
  'transformCoords',
  (params, { attrs }) => params.int(attrs.batchShift, ...attrs.shift, ...attrs.divisor),
);

export const subdivideCoordsKernel: CudaKernel = coordsKernel('subdivideCoords');

export const convOutputCoordsKernel: CudaKernel<ConvOutputCoordsAttrs> = coordsKernel(
  'convOutputCoords',
  (params, { inputs, outputs, attrs }) => {
    const { kernelSize, stride, padding, dilation, outputShape } = attrs;
    const rows = inputs[0]!.shape[0]!;
    // Every input has reach^3 places in the result.
    const reach = rows === 0 ? 1 : Math.round(Math.cbrt(outputs[0]!.shape[0]! / rows));
    params
      .int(kernelSize, stride, padding, dilation, reach)
      .bool(outputShape !== null)
      .int(...(outputShape ?? [0, 0, 0]));
  },
);

export const inversePermutationKernel: CudaKernel = coordsKernel('inversePermutation');

export const curveCodesKernel: CudaKernel<CurveCodesAttrs> = coordsKernel(
  'curveCodes',
  (params, { attrs: { order, bits, shift } }) =>
    params
      .bool(order.startsWith('hilbert'))
      .bool(order.endsWith('transposed'))
      .int(bits, ...shift),
);

export const batchOffsetsKernel: CudaKernel<BatchOffsetsAttrs> = coordsKernel(
  'batchOffsets',
  (params, { attrs }) => params.int(attrs.batchSize),
);
