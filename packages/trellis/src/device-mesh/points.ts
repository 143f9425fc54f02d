/**
 * Values at the points of the lattice, each the mean of what the given cells round the point say of it, summed from the
 * lowest cell to the highest.
 */
import {
  add,
  cast,
  div,
  equal,
  gather,
  greater,
  greaterEqual,
  less,
  maximum,
  mul,
  ones,
  sub,
  where,
  type Tensor,
} from '@pergola/core';
import { ROUND_CORNERS } from '../assets/flexicubes-points.ts';
import { CORNERS } from '../assets/flexicubes-tables.ts';
import { consume } from '../nn/steps.ts';
import { rowsAt, stepFromAll, stepsFrom, type LatticeTensors } from './lattice.ts';

/** Signed distances of the points that given cells touch. */
export interface PointDistances {
  /** f32 by slot. */
  readonly mean: Tensor;
  /** i32 by slot: 1 where the distance is strictly negative. Told from the sum, which has the sign of the mean. */
  readonly inside: Tensor;
}

/** Distances at all points that cells touch. @param distances f32 `[N, 8]` of the cells' corners. */
export function meanDistances(lattice: LatticeTensors, distances: Tensor): PointDistances {
  return distances.device.run(() => {
    const { cells, touchedCount, resolution } = lattice;
    const { said, given } = cellsBySlot(lattice, distances);
    // The network predicts distances that are one cell edge too large by convention.
    const biased = consume(said, () => mul(add(said, -1 / resolution), given.unsqueeze(1)));
    const flat = biased.reshape(-1);
    let sum: Tensor | undefined;
    let count: Tensor | undefined;
    for (const corner of ROUND_CORNERS) {
      using slots = stepFromAll(cells, corner, touchedCount);
      const value = distances.device.run(() => gather(flat, add(mul(slots, CORNERS), corner)));
      sum = accumulate(sum, value);
      count = accumulate(count, gather(given, slots));
    }
    return {
      inside: cast(less(sum!, 0), 'i32'),
      // Points that no given cell touches lie outside.
      mean: add(div(sum!, maximum(count!, 1)), cast(equal(count!, 0), 'f32')),
    };
  });
}

/** Adds a value, which is used up, to a sum, which is too. */
function accumulate(sum: Tensor | undefined, value: Tensor): Tensor {
  if (sum === undefined) return value;
  return consume(sum, (sum) => consume(value, (value) => add(sum, value)));
}

/** What cells say, by slot, and 1 where there is one: f32 `[slots, 8]` and `[slots]`. */
function cellsBySlot(
  { cellOf }: LatticeTensors,
  distances: Tensor,
): { said: Tensor; given: Tensor } {
  return distances.device.run(() => ({
    said: gather(distances, sub(cellOf, 1)),
    given: cast(greater(cellOf, 0), 'f32'),
  }));
}

/** Distances at some slots; what no given cell touches lies outside, at 1. @param slots i32 `[M]`. @returns f32 `[M]`. */
export function distancesAt({ mean }: PointDistances, slots: Tensor): Tensor {
  return slots.device.run(() =>
    where(less(slots, mean.size), gather(mean, slots), ones(slots.device, [1])),
  );
}

/**
 * Means of what cells say of their corners.
 *
 * @param points i32 `[P]` slots.
 * @param corners f32 `[N, 8 C]`, C values for each corner.
 * @returns f32 `[P, C]`; 0 where no cell is given.
 */
export function meanAtPoints(lattice: LatticeTensors, points: Tensor, corners: Tensor): Tensor {
  return points.device.run(() => {
    const [count, columns] = corners.shape as [number, number];
    const values = corners.reshape(count * CORNERS, columns / CORNERS);
    const cells = stepsFrom(lattice.cells, points);
    let sum: Tensor | undefined;
    let given: Tensor | undefined;
    for (const corner of ROUND_CORNERS) {
      using rows = rowsAt(lattice, cells.slice(1, corner, corner + 1).reshape(points.size));
      sum = accumulate(sum, valuesOfCorner(values, rows, corner));
      const known = points.device.run(() => cast(greaterEqual(rows, 0), 'f32'));
      given = accumulate(given, known);
    }
    return div(sum!, maximum(given!, 1).unsqueeze(1));
  });
}

/** Rows of -1 give zeros. */
function valuesOfCorner(values: Tensor, rows: Tensor, corner: number): Tensor {
  return rows.device.run(() => gather(values, add(mul(rows, CORNERS), corner)));
}
