/** One axis of a row-major tensor, with everything before and after it merged. */
import { sizeOf } from '@pergola/core';

/** Element `(o, e, i)` lies at `(o * extent + e) * inner + i`. */
export interface AxisSplit {
  readonly outer: number;
  readonly extent: number;
  readonly inner: number;
}

/** Splits a shape at a non-negative axis. */
export function splitAxis(shape: readonly number[], axis: number): AxisSplit {
  return {
    outer: sizeOf(shape.slice(0, axis)),
    extent: shape[axis]!,
    inner: sizeOf(shape.slice(axis + 1)),
  };
}
