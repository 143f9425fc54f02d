/** Reductions over groups of rows given by an order and offsets: deterministic, without atomics. */
import {
  executeOne,
  FLOAT_DTYPES,
  InputError,
  shapeMismatch,
  sizeOf,
  type Op,
  type Tensor,
} from '@pergola/core';
import { segmentReduceKernel } from '../cpu/segment-reduce.ts';

/** Attributes of `segmentReduce`. */
export interface SegmentReduceAttrs {
  readonly reduce: 'sum' | 'mean' | 'max' | 'min';
  /** Added to the count by which `mean` divides; the other reductions ignore it. */
  readonly extraCount: number;
}

export const SEGMENT_REDUCE_DEFAULTS: Omit<SegmentReduceAttrs, 'reduce'> = { extraCount: 0 };

export const segmentReduceOp: Op<SegmentReduceAttrs> = {
  name: 'segmentReduce',
  family: 'segment',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: [1, 8] },
    { name: 'order', dtypes: ['i32'], rank: 1 },
    { name: 'offsets', dtypes: ['i32'], rank: 1 },
  ],
  infer([x, _order, offsets], { reduce, extraCount }) {
    if (!['sum', 'mean', 'max', 'min'].includes(reduce)) {
      throw new InputError(`segmentReduce: reduce must be sum, mean, max or min, got ${reduce}.`);
    }
    if (!(extraCount >= 0 && Number.isFinite(extraCount))) {
      throw new InputError(
        `segmentReduce: extraCount must be a finite number of at least 0, got ${extraCount}.`,
      );
    }
    if (offsets!.shape[0] === 0) {
      throw shapeMismatch('segmentReduce', 'offsets', '[segments + 1]', offsets!.shape);
    }
    return [{ dtype: x!.dtype, shape: [offsets!.shape[0]! - 1, ...x!.shape.slice(1)] }];
  },
  reference([x, order, offsets], { reduce, extraCount }, [out]) {
    const channels = sizeOf(x!.shape.slice(1));
    for (let segment = 0; segment < out!.shape[0]!; segment++) {
      const [start, end] = [offsets!.data[segment]!, offsets!.data[segment + 1]!];
      for (let c = 0; c < channels; c++) {
        let value = 0;
        for (let i = start; i < end; i++) {
          const next = x!.data[order!.data[i]! * channels + c]!;
          if (i === start) value = next;
          else if (reduce === 'max') value = Math.max(value, next);
          else if (reduce === 'min') value = Math.min(value, next);
          else value += next;
        }
        if (reduce === 'mean' && end > start) value /= end - start + extraCount;
        out!.data[segment * channels + c] = value;
      }
    }
  },
  cost([x, order], _attrs, [out]) {
    const read = (sizeOf(order!.shape) * sizeOf(x!.shape)) / Math.max(1, x!.shape[0]!);
    return { flops: read, bytes: 4 * (read + sizeOf(out!.shape)) };
  },
  kernels: { cpu: segmentReduceKernel },
};

/**
 * Reduces groups of rows: segment s takes the rows `order[offsets[s]] .. order[offsets[s + 1] - 1]`.
 *
 * Empty segments give 0. Sums are f32 or better whatever the dtype.
 *
 * @param x `[N, ...]` float.
 * @param order i32 `[T]`, entries 0 to N - 1.
 * @param offsets i32 `[S + 1]`, ascending from 0 to T.
 * @returns `[S, ...]` of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function segmentReduce(
  x: Tensor,
  order: Tensor,
  offsets: Tensor,
  options: Partial<SegmentReduceAttrs> & Pick<SegmentReduceAttrs, 'reduce'>,
): Tensor {
  return executeOne(segmentReduceOp, [x, order, offsets], {
    ...SEGMENT_REDUCE_DEFAULTS,
    ...options,
  });
}
