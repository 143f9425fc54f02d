/** The coordinate hash in WGSL: the hash function, and the search that look-ups repeat. */

/** `hash_coord(key)`, equal to `hashCoord` of the sparse package. */
export const HASH_COORD: string = `
fn hash_coord(key: vec4<i32>) -> u32 {
  let k = bitcast<vec4<u32>>(key);
  var h = k.x * 0x9e3779b1u;
  h = (h ^ (h >> 16u) ^ ((k.y << 16u) | (k.z & 0xffffu))) * 0x7feb352du;
  h = (h ^ (h >> 15u) ^ k.w) * 0x846ca68bu;
  return h ^ (h >> 16u);
}
`;

/**
 * `find_row(key) -> i32`: row of a coordinate, or -1. Reads the binding `slots`, the rows `row_coords` and the parameter
 * `mask`, the number of slots less 1.
 */
export const FIND_ROW: string = `
fn find_row(key: vec4<i32>) -> i32 {
  let home = hash_coord(key);
  for (var probe = 0u; probe <= params.mask; probe++) {
    let row = load_slots((home + probe) & params.mask);
    if (row < 0) { return -1; }
    if (all(row_coords(u32(row)) == key)) { return row; }
  }
  return -1;
}
`;
