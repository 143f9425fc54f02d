/** Index arithmetic of packed rows: which element a row belongs to, and which rows an element has. */
import type { Tensor } from '../tensor.ts';
import { add } from './arithmetic.ts';
import { cast } from './cast.ts';
import { less, lessEqual } from './comparison.ts';
import { arange, full } from './create.ts';
import { where } from './elementwise.ts';
import { sum } from './reduce.ts';

/**
 * The element of each packed row: how many elements end at or before it.
 *
 * @param offsets i32 `[B + 1]`, ascending from 0.
 * @returns i32 `[rows]`; rows after the last element get B.
 */
export function elementOfRow(offsets: Tensor, rows: number): Tensor {
  const ends = offsets.slice(0, 1).unsqueeze(0);
  const ended = lessEqual(ends, arange(offsets.device, rows).unsqueeze(1));
  return sum(cast(ended, 'i32'), { axes: [1] });
}

/**
 * The rows of each element, padded to a common length.
 *
 * @param offsets i32 `[B + 1]`, ascending from 0.
 * @returns i32 `[B, length]`; -1 past the end of an element.
 */
export function rowsOfElement(offsets: Tensor, length: number): Tensor {
  const { device } = offsets;
  const starts = offsets.slice(0, 0, -1).unsqueeze(1);
  const ends = offsets.slice(0, 1).unsqueeze(1);
  const rows = add(starts, arange(device, length).unsqueeze(0));
  return where(less(rows, ends), rows, full(device, [], -1, 'i32'));
}
