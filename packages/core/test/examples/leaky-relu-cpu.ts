/** The worked example of docs/adding-a-kernel.md: `leakyRelu` in f32 on the CPU. */
import { onlyF32, viewBinding, type CpuKernel, type TensorSpec } from '@pergola/core';
import type { LeakyReluAttrs } from './leaky-relu.ts';

interface LeakyReluPlan {
  readonly spec: TensorSpec;
  readonly slope: number;
  readonly apply: (source: Float32Array, target: Float32Array, slope: number) => void;
}

/** One branch for each element: fast where signs come in runs. */
function branching(source: Float32Array, target: Float32Array, slope: number): void {
  for (let i = 0; i < target.length; i++) {
    const value = source[i]!;
    target[i] = value < 0 ? slope * value : value;
  }
}

/** No branch: fast where signs are mixed. NaN passes through both halves. */
function branchless(source: Float32Array, target: Float32Array, slope: number): void {
  for (let i = 0; i < target.length; i++) {
    const value = source[i]!;
    target[i] = Math.max(value, 0) + slope * Math.min(value, 0);
  }
}

export const leakyReluKernel: CpuKernel<LeakyReluAttrs, LeakyReluPlan> = {
  op: 'leakyRelu',
  strategies: ['branching', 'branchless'],
  supports: ({ inputs }) => onlyF32(inputs),
  prepare: ({ outputs, attrs }, _context, strategy) => ({
    spec: outputs[0]!,
    slope: attrs.slope,
    apply: strategy === 'branching' ? branching : branchless,
  }),
  run({ spec, slope, apply }, [x], [out], context) {
    const source = viewBinding(context, spec, x!) as Float32Array;
    const target = viewBinding(context, spec, out!) as Float32Array;
    apply(source, target, slope);
  },
};
