/** The layout of a report on a coordinate list. */

/** Entry of a report where no row offends. */
export const NO_ROW = 2147483647;

/** Entries of a coordinate report, in order. */
export const REPORT_FIELDS = [
  'outOfRange',
  'negativeBatch',
  'unsorted',
  'duplicate',
  'maxBatch',
  'minX',
  'minY',
  'minZ',
  'maxX',
  'maxY',
  'maxZ',
] as const;

/** The report on no rows: no offender, largest batch -1, inverted bounds. */
export function emptyReport(): Int32Array {
  const [highest, lowest] = [2147483647, -2147483648];
  return Int32Array.of(
    ...[NO_ROW, NO_ROW, NO_ROW, NO_ROW, -1],
    ...[highest, highest, highest, lowest, lowest, lowest],
  );
}
