/** One axis of a row-major tensor, with everything before and after it merged. */
import { ShapeError } from '../errors.ts';
import type { Shape } from '../shape.ts';

/** Element `(o, e, i)` lies at `(o * extent + e) * inner + i`. */
export interface AxisSplit {
  /** Product of the extents before the axis. */
  readonly outer: number;
  readonly extent: number;
  /** Product of the extents after the axis. */
  readonly inner: number;
}

/** Splits `shape` at the non-negative `axis`. */
export function splitAtAxis(shape: Shape, axis: number): AxisSplit {
  let outer = 1;
  let inner = 1;
  for (let i = 0; i < axis; i++) outer *= shape[i]!;
  for (let i = axis + 1; i < shape.length; i++) inner *= shape[i]!;
  return { outer, extent: shape[axis]!, inner };
}

/**
 * Requires an axis as attributes carry it: resolved, so never negative.
 *
 * @throws ShapeError otherwise.
 */
export function checkAxis(op: string, axis: number, rank: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
    throw new ShapeError(`${op}: axis must be an integer from 0 to ${rank - 1}, got ${axis}.`);
  }
}
