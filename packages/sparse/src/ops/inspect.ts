/** Checking a coordinate list on the device, and the row offsets of its batch elements. */
import { executeOne, type Op, type Tensor } from '@pergola/core';
import { COORD_MAX, COORD_MIN, findRow } from './hash.ts';
import { checkCoords, checkTable, checkInteger } from './checks.ts';
import { emptyReport, REPORT_FIELDS } from './report.ts';
import { inspectCoordsKernel } from '../cpu/inspect-coords.ts';

export const inspectCoordsOp: Op = {
  name: 'inspectCoords',
  family: 'coords',
  inputs: [
    { name: 'coords', dtypes: ['i32'], rank: 2 },
    { name: 'slots', dtypes: ['i32'], rank: 1 },
  ],
  infer([coords, slots]) {
    checkCoords('inspectCoords', 'coords', coords!.shape);
    checkTable('inspectCoords', slots!.shape, coords!.shape[0]!);
    return [{ dtype: 'i32', shape: [REPORT_FIELDS.length] }];
  },
  reference([coords, slots], _attrs, [out]) {
    const report = out!.data;
    const key = coords!.data;
    report.set(emptyReport());
    const note = (field: number, row: number): void => {
      report[field] = Math.min(report[field]!, row);
    };
    for (let row = 0; row < coords!.shape[0]!; row++) {
      const at = row * 4;
      const batch = key[at]!;
      for (let axis = 0; axis < 3; axis++) {
        const value = key[at + 1 + axis]!;
        if (value < COORD_MIN || value > COORD_MAX) note(0, row);
        report[5 + axis] = Math.min(report[5 + axis]!, value);
        report[8 + axis] = Math.max(report[8 + axis]!, value);
      }
      if (batch < 0) note(1, row);
      if (row > 0 && batch < key[at - 4]!) note(2, row);
      const found = findRow(slots!.data, key, batch, key[at + 1]!, key[at + 2]!, key[at + 3]!);
      if (found !== row) note(3, row);
      report[4] = Math.max(report[4]!, batch);
    }
  },
  kernels: { cpu: inspectCoordsKernel },
};

/**
 * One pass over a coordinate list that finds what is wrong with it.
 *
 * @param coords i32 `[N, 4]`.
 * @param slots its table, from `buildHash`.
 * @returns i32 `[11]`, {@link REPORT_FIELDS}: the first row outside the coordinate range, with a negative batch, with a
 *   batch below the row before, and equal to an earlier row (each {@link NO_ROW} when there is none); then the
 *   largest batch (-1 when N = 0) and the bounds (inverted when N = 0).
 * @throws ShapeError, DTypeError.
 */
export function inspectCoords(coords: Tensor, slots: Tensor): Tensor {
  return executeOne(inspectCoordsOp, [coords, slots], {});
}

/** Attributes of `batchOffsets`. */
export interface BatchOffsetsAttrs {
  readonly batchSize: number;
}

export const batchOffsetsOp: Op<BatchOffsetsAttrs> = {
  name: 'batchOffsets',
  family: 'coords',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords], { batchSize }) {
    checkCoords('batchOffsets', 'coords', coords!.shape);
    checkInteger('batchOffsets', 'batchSize', batchSize, 0);
    return [{ dtype: 'i32', shape: [batchSize + 1] }];
  },
  reference([coords], { batchSize }, [out]) {
    const rows = coords!.shape[0]!;
    let row = 0;
    for (let batch = 0; batch <= batchSize; batch++) {
      while (row < rows && coords!.data[row * 4]! < batch) row++;
      out!.data[batch] = row;
    }
  },
};

/**
 * Row offsets of batch elements.
 *
 * @param coords i32 `[N, 4]`, ascending in the batch column.
 * @returns i32 `[batchSize + 1]`: entry b is the number of rows whose batch is below b.
 * @throws ShapeError, DTypeError, InputError.
 */
export function batchOffsets(coords: Tensor, options: BatchOffsetsAttrs): Tensor {
  return executeOne(batchOffsetsOp, [coords], { batchSize: options.batchSize });
}
