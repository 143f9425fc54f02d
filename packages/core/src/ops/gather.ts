/** Moving rows by index: `gather` and `scatterReduce`. */
import { executeOne } from '../device.ts';
import { DTYPES, NUMERIC_DTYPES } from '../dtype.ts';
import { InputError } from '../errors.ts';
import { shapeMismatch, type Op } from '../op.ts';
import { resolveAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkAxis, splitAtAxis } from './axis-split.ts';
import { perInputElement } from './cost.ts';

/** Attributes of `gather`. */
export interface GatherAttrs {
  /** Axis of x that the index selects from; not negative. */
  readonly axis: number;
}

export const GATHER_DEFAULTS: GatherAttrs = { axis: 0 };

export const gatherOp: Op<GatherAttrs> = {
  name: 'gather',
  family: 'index',
  inputs: [
    { name: 'x', dtypes: DTYPES, rank: [1, 8] },
    { name: 'index', dtypes: ['i32', 'u32'], rank: 1 },
  ],
  infer([x, index], { axis }) {
    checkAxis('gather', axis, x!.shape.length);
    const shape = [...x!.shape];
    shape[axis] = index!.shape[0]!;
    return [{ dtype: x!.dtype, shape }];
  },
  reference([x, index], { axis }, [out]) {
    const { outer, extent, inner } = splitAtAxis(x!.shape, axis);
    const count = index!.data.length;
    out!.data.fill(0);
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < count; j++) {
        const from = index!.data[j]!;
        if (from < 0 || from >= extent) continue;
        const source = (o * extent + from) * inner;
        const target = (o * count + j) * inner;
        for (let i = 0; i < inner; i++) out!.data[target + i] = x!.data[source + i]!;
      }
    }
  },
};

/**
 * Selects slices along one axis: `out[..., j, ...] = x[..., index[j], ...]`.
 *
 * An index outside the axis, customarily -1, gives zeros.
 *
 * @param x `[...]` of any dtype.
 * @param index `[M]` i32 or u32.
 * @param options `axis`, default 0; may be negative.
 * @returns the shape of x with M at `axis`, the dtype of x.
 * @throws ShapeError, DTypeError.
 */
export function gather(x: Tensor, index: Tensor, options: Partial<GatherAttrs> = {}): Tensor {
  const axis = resolveAxis('gather', options.axis ?? GATHER_DEFAULTS.axis, x.rank);
  return executeOne(gatherOp, [x, index], { axis });
}

/** How rows that meet in one place are combined. */
export type ScatterReduction = 'sum' | 'mean' | 'max' | 'min';

/** Attributes of `scatterReduce`. */
export interface ScatterReduceAttrs {
  /** Number of output rows. */
  readonly size: number;
  readonly reduce: ScatterReduction;
}

/** `size` has no default. */
export const SCATTER_REDUCE_DEFAULTS: Pick<ScatterReduceAttrs, 'reduce'> = { reduce: 'sum' };

const SCATTER_REDUCTIONS: readonly string[] = ['sum', 'mean', 'max', 'min'];

export const scatterReduceOp: Op<ScatterReduceAttrs> = {
  name: 'scatterReduce',
  family: 'index',
  inputs: [
    { name: 'src', dtypes: NUMERIC_DTYPES, rank: [1, 8] },
    { name: 'index', dtypes: ['i32'], rank: 1 },
  ],
  infer([src, index], { size, reduce }) {
    if (!Number.isInteger(size) || size < 0) {
      throw new InputError(`scatterReduce: size must be an integer of at least 0, got ${size}.`);
    }
    if (!SCATTER_REDUCTIONS.includes(reduce)) {
      throw new InputError(
        `scatterReduce: reduce must be one of ${SCATTER_REDUCTIONS.join(', ')}, got ${reduce}.`,
      );
    }
    if (index!.shape[0] !== src!.shape[0]) {
      const expected = `[${src!.shape[0]}] (first axis of src)`;
      throw shapeMismatch('scatterReduce', 'index', expected, index!.shape);
    }
    return [{ dtype: src!.dtype, shape: [size, ...src!.shape.slice(1)] }];
  },
  reference([src, index], { size, reduce }, [out]) {
    const width = sizeOf(src!.shape.slice(1));
    const sums = new Float64Array(size * width);
    const counts = new Int32Array(size);
    for (let row = 0; row < index!.data.length; row++) {
      const target = index!.data[row]!;
      if (target < 0 || target >= size) continue;
      const first = counts[target]!++ === 0;
      for (let i = 0; i < width; i++) {
        const value = src!.data[row * width + i]!;
        const at = target * width + i;
        if (first) sums[at] = value;
        else if (reduce === 'max') sums[at] = Math.max(sums[at]!, value);
        else if (reduce === 'min') sums[at] = Math.min(sums[at]!, value);
        else sums[at]! += value;
      }
    }
    for (let i = 0; i < sums.length; i++) {
      const count = counts[Math.floor(i / width)]!;
      out!.data[i] = reduce === 'mean' && count > 0 ? sums[i]! / count : sums[i]!;
    }
  },
  cost: perInputElement(1),
};

/**
 * Combines rows by target: row `i` of the result is the sum, mean, maximum or minimum of the rows of `src` whose index
 * is `i`. Rows that receive nothing are 0; an index outside `[0, size)`, customarily -1, drops its row.
 *
 * Sums are f32 or better (integers wrap; an integer mean truncates toward zero). The order of a sum is not defined.
 *
 * @param src `[M, ...]` numeric.
 * @param index `[M]` i32.
 * @param options `size`, the number of rows of the result; `reduce`, default `sum`.
 * @returns `[size, ...]` of the dtype of src.
 * @throws ShapeError, DTypeError, InputError.
 */
export function scatterReduce(
  src: Tensor,
  index: Tensor,
  options: Pick<ScatterReduceAttrs, 'size'> & Partial<ScatterReduceAttrs>,
): Tensor {
  return executeOne(scatterReduceOp, [src, index], { ...SCATTER_REDUCE_DEFAULTS, ...options });
}
