/** Sorting and deduplicating rows by integer or float keys. */
import { execute } from '../device.ts';
import type { InputSlot, Op } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { compareKeyRows, keyWidth, sortedKeyRows } from './key-order.ts';
import { takeLeadingRows } from './leading-rows.ts';

const KEYS: InputSlot = { name: 'keys', dtypes: ['i32', 'u32', 'f32'], rank: [1, 2] };

export const sortByKeyOp: Op = {
  name: 'sortByKey',
  family: 'sort',
  inputs: [KEYS],
  infer: ([keys]) => [
    { dtype: keys!.dtype, shape: keys!.shape },
    { dtype: 'i32', shape: [keys!.shape[0]!] },
  ],
  reference([keys], _attrs, [sorted, order]) {
    const width = keyWidth(keys!);
    const rows = sortedKeyRows(keys!);
    order!.data.set(rows);
    for (let i = 0; i < rows.length; i++) {
      for (let column = 0; column < width; column++) {
        sorted!.data[i * width + column] = keys!.data[rows[i]! * width + column]!;
      }
    }
  },
};

/** Result of `sortByKey`. */
export interface SortedKeys {
  /** The keys in ascending order, shape and dtype as given. */
  readonly keys: Tensor;
  /** i32 `[N]`: row `i` of the result was row `order[i]` of the input. */
  readonly order: Tensor;
}

/**
 * Sorts rows in ascending order, lexicographically over their columns. Stable.
 *
 * Among f32 keys -0 equals 0, and all NaN are equal and come last.
 *
 * @param keys `[N]` or `[N, W]`; i32, u32 or f32.
 * @returns the sorted keys and the order that sorts.
 * @throws ShapeError, DTypeError.
 */
export function sortByKey(keys: Tensor): SortedKeys {
  const [sorted, order] = execute(sortByKeyOp, [keys], {});
  return { keys: sorted!, order: order! };
}

/**
 * Outputs: unique keys (shape of the input), inverse `[N]`, counts `[N]`, and i32 `[1]`, the number M of unique keys.
 * Only the first M rows of keys and counts mean something; the rest is 0.
 */
export const uniqueByKeyOp: Op = {
  name: 'uniqueByKey',
  family: 'sort',
  inputs: [KEYS],
  infer([keys]) {
    const rows = keys!.shape[0]!;
    return [
      { dtype: keys!.dtype, shape: keys!.shape },
      { dtype: 'i32', shape: [rows] },
      { dtype: 'i32', shape: [rows] },
      { dtype: 'i32', shape: [1] },
    ];
  },
  reference([keys], _attrs, [unique, inverse, counts, count]) {
    const width = keyWidth(keys!);
    const rows = sortedKeyRows(keys!);
    unique!.data.fill(0);
    counts!.data.fill(0);
    let found = 0;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      if (i === 0 || compareKeyRows(keys!, rows[i - 1]!, row) !== 0) {
        for (let column = 0; column < width; column++) {
          unique!.data[found * width + column] = keys!.data[row * width + column]!;
        }
        found++;
      }
      inverse!.data[row] = found - 1;
      counts!.data[found - 1]!++;
    }
    count!.data[0] = found;
  },
};

/** Result of `uniqueByKey`. */
export interface UniqueKeys {
  /** `[M]` or `[M, W]`: every distinct key once, ascending. */
  readonly keys: Tensor;
  /** i32 `[N]`: input row `i` equals row `inverse[i]` of `keys`. */
  readonly inverse: Tensor;
  /** i32 `[M]`: how many input rows equal each key. */
  readonly counts: Tensor;
}

/**
 * The distinct rows, in ascending lexicographic order (see `sortByKey`). Waits for the device to learn their number.
 *
 * @param keys `[N]` or `[N, W]`; i32, u32 or f32.
 * @returns the distinct keys, where each row went, and how often each occurs.
 * @throws ShapeError, DTypeError.
 */
export async function uniqueByKey(keys: Tensor): Promise<UniqueKeys> {
  const [unique, inverse, counts, count] = execute(uniqueByKeyOp, [keys], {});
  const found = await count!.item();
  count!.dispose();
  return {
    keys: takeLeadingRows(unique!, found),
    inverse: inverse!,
    counts: takeLeadingRows(counts!, found),
  };
}
