/** An axis with everything before and after it merged: element `(o, e, i)` lies at `(o * extent + e) * inner + i`. */
import { sizeOf, type Shape } from '@pergola/core';

export interface AxisRows {
  readonly outer: number;
  readonly extent: number;
  readonly inner: number;
}

/** Splits a contiguous shape at `axis`. */
export function axisRows(shape: Shape, axis: number): AxisRows {
  return {
    outer: sizeOf(shape.slice(0, axis)),
    extent: shape[axis]!,
    inner: sizeOf(shape.slice(axis + 1)),
  };
}
