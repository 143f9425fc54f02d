// The coordinate hash as packages/sparse/src/ops/hash.ts defines it: mixing, and the search in a table.

/** The part of the hash that batch, x and y decide. */
// @ts-ignore: decorator
@inline
export function hashColumn(batch: i32, x: i32, y: i32): u32 {
  let h = <u32>batch * 0x9e3779b1;
  h = (h ^ (h >> 16) ^ ((<u32>x << 16) | (<u32>y & 0xffff))) * 0x7feb352d;
  return h ^ (h >> 15);
}

/** The whole hash, from that of the column. */
// @ts-ignore: decorator
@inline
export function hashPoint(column: u32, z: i32): u32 {
  const h = (column ^ <u32>z) * 0x846ca68b;
  return h ^ (h >> 16);
}

/** Whether row `row` of the coordinates is this one; batch and x, and y and z, come as pairs. */
// @ts-ignore: decorator
@inline
function isRow(coords: usize, row: i32, batchX: u64, yz: u64): bool {
  const at = coords + (<usize>row << 4);
  return load<u64>(at) === batchX && load<u64>(at, 8) === yz;
}

// @ts-ignore: decorator
@inline
export function pair(low: i32, high: i32): u64 {
  return <u64>(<u32>low) | (<u64>(<u32>high) << 32);
}

/** Row of a coordinate, or -1. The search ends at an empty slot, or after all of them. */
// @ts-ignore: decorator
@inline
export function find(
  slots: usize,
  mask: u32,
  coords: usize,
  column: u32,
  batchX: u64,
  y: i32,
  z: i32,
): i32 {
  let slot = hashPoint(column, z) & mask;
  const yz = pair(y, z);
  for (let probe: u32 = 0; probe <= mask; probe++) {
    const row = load<i32>(slots + (<usize>slot << 2));
    if (row < 0) return -1;
    if (isRow(coords, row, batchX, yz)) return row;
    slot = (slot + 1) & mask;
  }
  return -1;
}
