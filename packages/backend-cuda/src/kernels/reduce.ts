/** Reductions over any set of axes, of any strides. */
import { sizeOf, type ReduceAttrs, type TensorLayout } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { MAX_AXES, mergeAxes, type MergedAxes } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

const REDUCE_OPS = ['sum', 'mean', 'max', 'min', 'prod', 'variance', 'any', 'all'] as const;

/** The axes of x that `keep` chooses, merged. Extents of 0 stay, for reductions over nothing. */
function chosenAxes(x: TensorLayout, keep: (axis: number) => boolean): MergedAxes {
  const axes = [...x.shape.keys()].filter(keep);
  return mergeAxes(
    axes.map((axis) => x.shape[axis]!),
    [axes.map((axis) => x.strides[axis]!)],
  );
}

/** A `ReduceAxes` of native/reduce.cuh. */
function packAxes(params: ParamBlock, { extents, strides }: MergedAxes): ParamBlock {
  return params.int(extents.length).padded(extents, MAX_AXES, 1).padded(strides[0]!, MAX_AXES, 0);
}

// Fewer neighbouring results than this leave a warp that takes them side by side half empty.
const MIN_COLUMNS = 16;

function reduceKernel(op: string): CudaKernel<ReduceAttrs> {
  return {
    op,
    supports: fitsIndices,
    acceptsStrides: () => true,
    prepare(call, context) {
      const x = call.inputs[0]!;
      const { axes } = call.attrs;
      const kept = chosenAxes(x, (axis) => !axes.includes(axis));
      const reduced = chosenAxes(x, (axis) => axes.includes(axis));
      const columns = kept.strides[0]!.at(-1) === 1 && kept.extents.at(-1)! >= MIN_COLUMNS;
      const params = new ParamBlock()
        .dtype(x.dtype)
        .int(sizeOf(kept.extents), sizeOf(reduced.extents))
        .bool(columns);
      return planLaunch(context, op, call, packAxes(packAxes(params, kept), reduced));
    },
    run: runLaunch,
  };
}

/** Sums, means, extremes, products, variance and logic over axes. */
export const reduceKernels: readonly CudaKernel<ReduceAttrs>[] = REDUCE_OPS.map(reduceKernel);
