/** scatterReduce and segmentReduce: rows that meet in one place, combined in a fixed order. */
import { sizeOf, type ScatterReduceAttrs } from '@pergola/core';
import type { SegmentReduceAttrs } from '@pergola/sparse';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

// In the order of the enum in native/segments.cuh.
const REDUCTIONS = ['sum', 'mean', 'max', 'min'] as const;

export const scatterReduceKernel: CudaKernel<ScatterReduceAttrs> = {
  op: 'scatterReduce',
  supports: fitsIndices,
  prepare(call, context) {
    const src = call.inputs[0]!;
    const { size, reduce } = call.attrs;
    const [rows, ...channels] = src.shape as [number, ...number[]];
    const params = new ParamBlock()
      .dtype(src.dtype)
      .int(rows, sizeOf(channels), size, REDUCTIONS.indexOf(reduce));
    return planLaunch(context, 'scatterReduce', call, params);
  },
  run: runLaunch,
};

export const segmentReduceKernel: CudaKernel<SegmentReduceAttrs> = {
  op: 'segmentReduce',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, order, offsets] = call.inputs;
    const { reduce, extraCount } = call.attrs;
    const params = new ParamBlock()
      .dtype(x!.dtype)
      .int(offsets!.shape[0]! - 1, sizeOf(x!.shape.slice(1)), order!.shape[0]!)
      .int(REDUCTIONS.indexOf(reduce))
      .float(extraCount);
    return planLaunch(context, 'segmentReduce', call, params);
  },
  run: runLaunch,
};
