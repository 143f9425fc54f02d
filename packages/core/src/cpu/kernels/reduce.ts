/** `sum`, `mean`, `max`, `min` and `variance` in f32 over one run of neighbouring axes. */
import type { ReduceAttrs } from '../../ops/reduce.ts';
import { sizeOf, type Shape } from '../../shape.ts';
import { addressOf, onlyF32, type CpuKernel } from '../context.ts';
import { wasm } from '../wasm/reduce.generated.ts';

// The numbers by which wasm/reduce.ts knows the reductions.
const REDUCTIONS = { sum: 0, mean: 1, max: 2, min: 3, variance: 4 } as const;

// Inner elements that one item covers, as in wasm/reduce.ts.
const COLUMNS = 64;
const GRAIN_ELEMENTS = 32_768;

interface ReducePlan {
  readonly outer: number;
  readonly extent: number;
  readonly inner: number;
}

/** x as `[outer, extent, inner]`; undefined when axes that stay lie between the reduced ones. */
function split(shape: Shape, axes: readonly number[]): ReducePlan | undefined {
  // Axes of extent 1 may count as reduced or not, whichever joins the others.
  const real = axes.filter((axis) => shape[axis] !== 1);
  if (real.length === 0) return { outer: sizeOf(shape), extent: 1, inner: 1 };
  const [first, last] = [real[0]!, real[real.length - 1]!];
  for (let axis = first; axis <= last; axis++) {
    if (shape[axis] !== 1 && !real.includes(axis)) return undefined;
  }
  return {
    outer: sizeOf(shape.slice(0, first)),
    extent: sizeOf(shape.slice(first, last + 1)),
    inner: sizeOf(shape.slice(last + 1)),
  };
}

function reduceKernel(op: keyof typeof REDUCTIONS): CpuKernel<ReduceAttrs, ReducePlan> {
  return {
    op,
    supports({ inputs, attrs: { axes } }) {
      const parts = split(inputs[0]!.shape, axes);
      if (parts === undefined) return 'the reduced axes are not neighbours';
      return parts.extent === 0 ? 'it reduces nothing' : onlyF32(inputs);
    },
    prepare: ({ inputs, attrs: { axes } }) => split(inputs[0]!.shape, axes)!,
    run({ outer, extent, inner }, [x], [out], context) {
      const [from, to] = [addressOf(x!, 'f32'), addressOf(out!, 'f32')];
      const words = [from, to, REDUCTIONS[op], extent];
      if (inner === 1) {
        context.pool.run(wasm, 'reduceRows', words, outer, GRAIN_ELEMENTS / extent);
        return;
      }
      const items = outer * Math.ceil(inner / COLUMNS);
      const grain = GRAIN_ELEMENTS / (extent * Math.min(inner, COLUMNS));
      context.pool.run(wasm, 'reduceColumns', [...words, inner], items, grain);
    },
  };
}

export const REDUCE_KERNELS: readonly CpuKernel<ReduceAttrs, ReducePlan>[] = (
  Object.keys(REDUCTIONS) as (keyof typeof REDUCTIONS)[]
).map(reduceKernel);
