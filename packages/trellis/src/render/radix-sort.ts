/** Stable order of unsigned keys. */

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;

/** Indices that sort `keys` ascending; equal keys keep their order. */
export function radixOrder(keys: Uint32Array): Uint32Array {
  const count = keys.length;
  let order = new Uint32Array(count);
  let spare = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  const starts = new Uint32Array(DIGITS);
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    starts.fill(0);
    for (let i = 0; i < count; i++) {
      const digit = (keys[i]! >>> shift) & (DIGITS - 1);
      starts[digit] = starts[digit]! + 1;
    }
    let next = 0;
    for (let digit = 0; digit < DIGITS; digit++) {
      const own = starts[digit]!;
      starts[digit] = next;
      next += own;
    }
    for (let i = 0; i < count; i++) {
      const index = order[i]!;
      const digit = (keys[index]! >>> shift) & (DIGITS - 1);
      spare[starts[digit]!] = index;
      starts[digit] = starts[digit]! + 1;
    }
    [order, spare] = [spare, order];
  }
  return order;
}
