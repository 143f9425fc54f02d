/** Merging axes that several operands walk alike, so that kernels see as few of them as possible. */
import { sizeOf } from '@pergola/core';
import type { ParamBlock } from './params.ts';

/** Axes that kernels have room for, as in native/broadcast.cuh. */
export const MAX_AXES = 8;

/** A shape and the strides of each operand along its axes, in elements. */
export interface MergedAxes {
  /** At least one axis; a scalar has one of extent 1. */
  readonly extents: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/**
 * Drops axes of extent 1 and joins neighbours across which every operand advances evenly.
 *
 * @param shape extents; none is 0.
 * @param operands strides of each operand along the axes of `shape`; 0 where it repeats.
 */
export function mergeAxes(
  shape: readonly number[],
  operands: readonly (readonly number[])[],
): MergedAxes {
  const extents: number[] = [];
  const strides: number[][] = operands.map(() => []);
  // From the last axis to the first, so that the inner neighbour is at the front of the lists.
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = shape[axis]!;
    if (extent === 1) continue;
    const inner = extents[0];
    const joins =
      inner !== undefined &&
      operands.every((operand, i) => operand[axis] === strides[i]![0]! * inner);
    if (joins) {
      extents[0] = inner * extent;
      continue;
    }
    extents.unshift(extent);
    strides.forEach((list, i) => list.unshift(operands[i]![axis]!));
  }
  if (extents.length > 0) return { extents, strides };
  return { extents: [1], strides: operands.map(() => [0]) };
}

/** Appends a `BroadcastShape` of native/broadcast.cuh: rank, elements, extents, strides of each operand. */
export function packBroadcast(params: ParamBlock, { extents, strides }: MergedAxes): ParamBlock {
  params.int(extents.length, sizeOf(extents));
  params.padded(extents, MAX_AXES, 1);
  for (const operand of strides) params.padded(operand, MAX_AXES, 0);
  return params;
}
