/** concat: up to sixteen tensors in each launch. */
import { bytesPerElement, type ConcatAttrs } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel, type LaunchPlan } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';
import { splitAxis } from '../split-axis.ts';

// As in native/kernels/concat.cu.
const MAX_PARTS = 16;

/** A launch and the tensors that it places. */
interface PartLaunch {
  readonly plan: LaunchPlan;
  readonly first: number;
  readonly end: number;
}

function filled(values: readonly number[]): number[] {
  return [...values, ...new Array<number>(MAX_PARTS - values.length).fill(0)];
}

export const concatKernel: CudaKernel<ConcatAttrs, readonly PartLaunch[]> = {
  op: 'concat',
  supports: fitsIndices,
  prepare(call, context) {
    const { shape, dtype } = call.outputs[0]!;
    const { outer, extent, inner } = splitAxis(shape, call.attrs.axis);
    const sizes = call.inputs.map((input) => input!.shape[call.attrs.axis]! * inner);
    let start = 0;
    const starts = sizes.map((size) => (start += size) - size);
    const launches: PartLaunch[] = [];
    for (let first = 0; first < sizes.length; first += MAX_PARTS) {
      const end = Math.min(sizes.length, first + MAX_PARTS);
      const params = new ParamBlock()
        .int(end - first, outer, bytesPerElement(dtype), extent * inner)
        .int(...filled(sizes.slice(first, end)))
        .int(...filled(starts.slice(first, end)));
      const part = { ...call, inputs: call.inputs.slice(first, end) };
      launches.push({ plan: planLaunch(context, 'concat', part, params), first, end });
    }
    return launches;
  },
  run(launches, inputs, outputs, context) {
    for (const { plan, first, end } of launches) {
      runLaunch(plan, inputs.slice(first, end), outputs, context);
    }
  },
};
