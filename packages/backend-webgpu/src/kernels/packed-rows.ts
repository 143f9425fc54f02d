/** Packed rows of several batch elements: which element a row belongs to. */

/**
 * `packed_element(row, batch)`: the last element that starts at or before `row`; `batch` when the row lies outside all
 * of them. Reads the binding `offsets`, ascending, of `batch + 1` entries.
 */
export const PACKED_ELEMENT: string = `
fn packed_element(row: u32, batch: u32) -> u32 {
  // The number of offsets at or below the row, by bisection.
  var low = 0u;
  var high = batch + 1u;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (u32(load_offsets(middle)) <= row) { low = middle + 1u; } else { high = middle; }
  }
  return select(low - 1u, batch, low == 0u);
}
`;
