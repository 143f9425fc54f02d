// From the number of a row to the byte offsets of up to three operands, along outer axes of any strides.
//
// A walk is 33 words: the number of axes, 8 extents, then 8 byte strides for each operand.

/** Words of a walk. */
export const WALK_WORDS: usize = 33;

/** Where the last `place` put the operands. Globals belong to one instance, so to one thread. */
export let place0: usize = 0;
export let place1: usize = 0;
export let place2: usize = 0;

/** Sets `place0` to `place2` for a row; axes advance as in row-major order. */
export function place(walk: usize, row: i32): void {
  place0 = 0;
  place1 = 0;
  place2 = 0;
  for (let axis = load<i32>(walk); axis > 0; axis--) {
    const at = walk + (<usize>axis << 2);
    const extent = load<i32>(at);
    const rest = row / extent;
    const index = <usize>(row - rest * extent);
    row = rest;
    place0 += index * <usize>load<u32>(at, 32);
    place1 += index * <usize>load<u32>(at, 64);
    place2 += index * <usize>load<u32>(at, 96);
  }
}
