/** The order of sort keys: lexicographic over columns, NaN last. */
import type { HostTensor, TensorSpec } from '../op.ts';

/** Numbers in ascending order; -0 equals 0, all NaN are equal and come last. */
function compareNumbers(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/** Columns of keys `[N]` or `[N, W]`. */
export function keyWidth(keys: TensorSpec): number {
  return keys.shape[1] ?? 1;
}

/** Negative, zero or positive as row `a` comes before, with or after row `b`. */
export function compareKeyRows(keys: HostTensor, a: number, b: number): number {
  const width = keyWidth(keys);
  for (let column = 0; column < width; column++) {
    const order = compareNumbers(keys.data[a * width + column]!, keys.data[b * width + column]!);
    if (order !== 0) return order;
  }
  return 0;
}

/** Row numbers in ascending order of their keys; rows with equal keys keep their order. */
export function sortedKeyRows(keys: HostTensor): Int32Array {
  const rows = Int32Array.from({ length: keys.shape[0]! }, (_, row) => row);
  return rows.sort((a, b) => compareKeyRows(keys, a, b) || a - b);
}
