/** Distinct coordinates in ascending order, and the grouping of rows by coordinate. */
import { copyOp, execute, executeOne, sub, type Op, type Tensor } from '@pergola/core';
import { checkCoords } from './checks.ts';
import { uniqueCoordsKernel } from '../cpu/unique-coords.ts';

export const uniqueCoordsOp: Op = {
  name: 'uniqueCoords',
  family: 'hash',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords]) {
    checkCoords('uniqueCoords', 'coords', coords!.shape);
    const rows = coords!.shape[0]!;
    return [
      { dtype: 'i32', shape: [rows, 4] },
      { dtype: 'i32', shape: [rows] },
      { dtype: 'i32', shape: [rows] },
      { dtype: 'i32', shape: [rows + 1] },
      { dtype: 'i32', shape: [2] },
    ];
  },
  reference([coords], _attrs, [unique, inverse, order, offsets, summary]) {
    const rows = coords!.shape[0]!;
    const key = coords!.data;
    const compare = (a: number, b: number): number => {
      for (let column = 0; column < 4; column++) {
        const difference = key[a * 4 + column]! - key[b * 4 + column]!;
        if (difference !== 0) return difference;
      }
      return 0;
    };
    // Sorting an array of row numbers is stable.
    const sorted = Array.from({ length: rows }, (_, row) => row).sort(compare);
    unique!.data.fill(0);
    offsets!.data.fill(rows);
    let groups = 0;
    for (let i = 0; i < rows; i++) {
      const row = sorted[i]!;
      if (i === 0 || compare(sorted[i - 1]!, row) !== 0) {
        unique!.data.set(key.subarray(row * 4, row * 4 + 4), groups * 4);
        offsets!.data[groups++] = i;
      }
      order!.data[i] = row;
      inverse!.data[row] = groups - 1;
    }
    let largest = 0;
    for (let g = 0; g < groups; g++) {
      largest = Math.max(largest, offsets!.data[g + 1]! - offsets!.data[g]!);
    }
    summary!.data[0] = groups;
    summary!.data[1] = largest;
  },
  cost([coords]) {
    const rows = coords!.shape[0]!;
    return { flops: 0, bytes: 64 * rows };
  },
  kernels: { cpu: uniqueCoordsKernel },
};

/** Rows grouped by equal coordinates. */
export interface UniqueCoords {
  /** i32 `[M, 4]`, ascending by (batch, x, y, z). */
  readonly coords: Tensor;
  /** i32 `[N]`: group of each row. */
  readonly inverse: Tensor;
  /** i32 `[N]`: rows sorted by group, ascending inside a group. */
  readonly order: Tensor;
  /** i32 `[M + 1]`: the rows of group g are `order[offsets[g]] .. order[offsets[g + 1] - 1]`. */
  readonly offsets: Tensor;
  /** i32 `[M]`: rows per group. */
  readonly counts: Tensor;
  /** Rows of the largest group. */
  readonly largest: number;
}

/** A view of the first rows, copied when most of the storage behind it would stay unused. Disposes `padded`. */
export function shrink(padded: Tensor, rows: number): Tensor {
  using source = padded;
  const view = source.slice(0, 0, rows);
  if (view.size * 2 >= source.size) return view;
  using part = view;
  return executeOne(copyOp, [part], {});
}

/**
 * Groups rows by equal coordinates. Waits for the device once, for the number of groups.
 *
 * @param coords i32 `[N, 4]`, any values, any order.
 * @throws ShapeError, DTypeError.
 */
export async function uniqueCoords(coords: Tensor): Promise<UniqueCoords> {
  const [unique, inverse, order, offsets, summary] = execute(uniqueCoordsOp, [coords], {});
  const [groups, largest] = (await summary!.values()) as Int32Array;
  summary!.dispose();
  const starts = shrink(offsets!, groups! + 1);
  using from = starts.slice(0, 0, groups);
  using to = starts.slice(0, 1);
  return {
    coords: shrink(unique!, groups!),
    inverse: inverse!,
    order: order!,
    offsets: starts,
    counts: sub(to, from),
    largest: largest!,
  };
}
