/** Turns the device's report on a coordinate list into an error that names the row, or into facts. */
import { InputError, type Tensor } from '@pergola/core';
import { COORD_MAX, COORD_MIN } from './ops/hash.ts';
import { NO_ROW } from './ops/report.ts';
import { type Triple } from './ops/checks.ts';

/** Smallest and largest coordinates, inclusive; undefined when there are no voxels. */
export type Bounds = { readonly min: Triple; readonly max: Triple } | undefined;

/** More batch elements than this are taken for corrupt coordinates. */
export const MAX_BATCH_SIZE: number = 1 << 20;

/**
 * Waits for a report of `inspectCoords` and disposes it.
 *
 * @throws InputError naming the first offending row.
 */
export async function rejectCoords(
  coords: Tensor,
  report: Tensor,
  batchSize: number | undefined,
): Promise<{ batchSize: number; bounds: Bounds }> {
  using held = report.keep();
  const [outOfRange, negative, unsorted, duplicate, maxBatch, ...bounds] =
    (await held.values()) as Int32Array;
  const describe = async (row: number): Promise<string> => {
    using voxel = coords.slice(0, row, row + 1);
    return `row ${row}, (${[...(await voxel.values())].join(', ')})`;
  };
  if (outOfRange !== NO_ROW) {
    throw new InputError(
      `SparseTensor: x, y and z must be ${COORD_MIN} to ${COORD_MAX}, got ${await describe(outOfRange!)}.`,
    );
  }
  if (negative !== NO_ROW) {
    throw new InputError(
      `SparseTensor: batch must be at least 0, got ${await describe(negative!)}.`,
    );
  }
  if (unsorted !== NO_ROW) {
    throw new InputError(
      `SparseTensor: batch must ascend over the rows, got ${await describe(unsorted!)} after a larger batch.`,
    );
  }
  if (duplicate !== NO_ROW) {
    throw new InputError(
      `SparseTensor: voxels must be distinct, got ${await describe(duplicate!)} a second time.`,
    );
  }
  const size = batchSize ?? maxBatch! + 1;
  if (!Number.isInteger(size) || size < 0 || size > MAX_BATCH_SIZE) {
    throw new InputError(
      `SparseTensor: batchSize must be an integer from 0 to ${MAX_BATCH_SIZE}, got ${size}.`,
    );
  }
  if (maxBatch! >= size) {
    throw new InputError(
      `SparseTensor: batch must be below batchSize (${size}), got ${maxBatch} in the last row.`,
    );
  }
  const [minX, minY, minZ, maxX, maxY, maxZ] = bounds as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    batchSize: size,
    bounds:
      coords.shape[0] === 0 ? undefined : { min: [minX, minY, minZ], max: [maxX, maxY, maxZ] },
  };
}
