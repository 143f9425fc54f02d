/** Cutting results of data-dependent size out of the buffers that held room for the most. */
import { executeOne } from '../device.ts';
import type { Tensor } from '../tensor.ts';
import { copyOp } from './copy.ts';

/**
 * The first `count` rows of `whole`, which is disposed. A view, or a copy where that frees at least half of the memory.
 */
export function takeLeadingRows(whole: Tensor, count: number): Tensor {
  const rows = whole.slice(0, 0, count);
  whole.dispose();
  if (count * 2 > whole.shape[0]!) return rows;
  const copy = executeOne(copyOp, [rows], {});
  rows.dispose();
  return copy;
}
