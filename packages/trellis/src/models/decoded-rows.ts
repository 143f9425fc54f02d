/** Decoder outputs on the host, one batch element at a time. */

/** The rows of each batch element, as views. @param lengths rows per element; together all of them. */
export function splitElements<T extends Int32Array | Float32Array>(
  rows: T,
  lengths: readonly number[],
): T[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const columns = total === 0 ? 0 : rows.length / total;
  let start = 0;
  return lengths.map((length) => {
    const end = start + length;
    const own = rows.subarray(start * columns, end * columns) as T;
    start = end;
    return own;
  });
}
