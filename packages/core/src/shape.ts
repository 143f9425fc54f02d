/** Shape and stride arithmetic. */
import { ShapeError } from './errors.ts';

/** A dense extent per axis; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const extent of shape) size *= extent;
  return size;
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis]!;
  }
  return strides;
}

/** True when the elements lie in row-major order without gaps (axes of extent 1 are free). */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = shape[axis]!;
    if (extent === 0) return true;
    if (extent !== 1 && strides[axis] !== step) return false;
    step *= extent;
  }
  return true;
}

/** True when both shapes have the same rank and extents. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

/** `[2, 3]`-style text for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/**
 * Resolves a possibly negative axis.
 *
 * @throws ShapeError when the axis is not an integer in `[-rank, rank)`.
 */
export function resolveAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError(
      `${op}: axis must be an integer from ${-rank} to ${rank - 1}, got ${axis}.`,
    );
  }
  return axis < 0 ? axis + rank : axis;
}

/**
 * NumPy broadcasting of several shapes.
 *
 * @throws ShapeError when an axis has two different extents and neither is 1.
 */
export function broadcastShapes(op: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    const lead = rank - shape.length;
    for (let axis = 0; axis < shape.length; axis++) {
      const extent = shape[axis]!;
      const current = out[lead + axis]!;
      if (extent === 1 || extent === current) continue;
      if (current !== 1) {
        throw new ShapeError(
          `${op}: shapes ${shapes.map(formatShape).join(' and ')} do not broadcast (axis ${lead + axis} is ${current} and ${extent}).`,
        );
      }
      out[lead + axis] = extent;
    }
  }
  return out;
}

/** Strides that walk `shape` (with its own `strides`) as if it had shape `target`; broadcast axes get stride 0. */
export function broadcastStrides(
  shape: Shape,
  strides: readonly number[],
  target: Shape,
): number[] {
  const lead = target.length - shape.length;
  return target.map((extent, axis) => {
    if (axis < lead) return 0;
    const own = shape[axis - lead]!;
    return own === 1 && extent !== 1 ? 0 : strides[axis - lead]!;
  });
}

/**
 * Checks that a shape holds non-negative integers whose product is a safe integer.
 *
 * @throws ShapeError otherwise.
 */
export function checkShape(who: string, shape: Shape): void {
  for (const extent of shape) {
    if (!Number.isInteger(extent) || extent < 0) {
      throw new ShapeError(
        `${who}: extents must be integers of at least 0, got ${formatShape(shape)}.`,
      );
    }
  }
  if (!Number.isSafeInteger(sizeOf(shape))) {
    throw new ShapeError(`${who}: ${formatShape(shape)} has too many elements.`);
  }
}
