/** Rows of several batch elements in one matrix: the form in which dense and sparse tokens share their layers. */
import type { Device, Tensor } from '@pergola/core';

/**
 * Where the batch elements lie in a matrix `[count, C]` of packed rows. A sparse structure is one; a dense batch
 * gets one from `evenRows`.
 */
export interface RowLayout {
  /** Batch elements. */
  readonly batchSize: number;
  /** All rows. */
  readonly count: number;
  /** i32 `[batchSize + 1]`: element b has the rows `[offsets[b], offsets[b + 1])`. */
  readonly offsets: Tensor;
  /** Rows of the longest element. */
  readonly maxLength: number;
}

/** The layout of `batchSize` elements of `length` rows each. The caller owns its offsets. */
export function evenRows(device: Device, batchSize: number, length: number): RowLayout {
  const offsets = Int32Array.from({ length: batchSize + 1 }, (_, b) => b * length);
  return {
    batchSize,
    count: batchSize * length,
    offsets: device.tensor(offsets, [batchSize + 1]),
    maxLength: length,
  };
}
