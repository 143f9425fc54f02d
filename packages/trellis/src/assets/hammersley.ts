/** Low-discrepancy points. */

/** Mirrors the digits of an integer about the point: `0.(digits reversed)` in the given base. */
export function radicalInverse(index: number, base: number): number {
  let value = 0;
  let digit = 1 / base;
  for (let rest = index; rest > 0; rest = Math.floor(rest / base)) {
    value += (rest % base) * digit;
    digit /= base;
  }
  return value;
}
