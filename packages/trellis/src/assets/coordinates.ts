/** Voxel coordinates as decoders hand them over. */
import { InputError, ShapeError } from '@pergola/core';

/**
 * Checks `[N, 3]` (x, y, z) or `[N, 4]` (batch, x, y, z) coordinates of one batch element.
 *
 * @param who function named in messages.
 * @param rows N, as told by the features that belong to the coordinates.
 * @returns the number of columns.
 * @throws ShapeError when the length fits neither form.
 * @throws InputError when a coordinate leaves `0 .. resolution - 1` or batch elements are mixed.
 */
export function checkCoords(
  who: string,
  coords: Int32Array,
  rows: number,
  resolution: number,
): 3 | 4 {
  const width = coords.length === rows * 4 && rows > 0 ? 4 : 3;
  if (coords.length !== rows * width) {
    throw new ShapeError(
      `${who}: coords must be [${rows}, 3] or [${rows}, 4], got ${coords.length} numbers.`,
    );
  }
  for (let row = 0; row < rows; row++) {
    const at = row * width;
    if (width === 4 && coords[at] !== coords[0]) {
      throw new InputError(
        `${who}: coords must belong to one batch element, got ${coords[0]} and ${coords[at]}.`,
      );
    }
    for (let column = width - 3; column < width; column++) {
      const value = coords[at + column]!;
      if (value < 0 || value >= resolution) {
        throw new InputError(
          `${who}: coords must lie in 0 to ${resolution - 1}, got ${value} in row ${row}.`,
        );
      }
    }
  }
  return width;
}
