/**
 * Step 1 of mesh extraction: per-cell corner predictions become one value per lattice point.
 *
 * A point shared by several cells takes the mean of what those cells say about it; a point that no cell touches lies
 * outside (+1). Sums are f32 in cell order, as in the published model.
 */
import { sigmoid, tanh } from './activations.ts';
import { SparseLattice } from './sparse-lattice.ts';

/** Channels of a cell record: signed distance [8], displacement [8, 3], weights [21], then perhaps attributes [8, 6]. */
export const SDF_CHANNEL = 0;
export const DEFORM_CHANNEL = 8;
export const WEIGHT_CHANNEL = 32;
export const COLOR_CHANNEL = 53;
/** Record lengths without and with colour and normal. */
export const CHANNELS_PLAIN = 53;
export const CHANNELS_COLORED = 101;

/** Checked cells of one asset. */
export interface CellRecords {
  /** `[N, width]`, x, y, z in the last three columns. */
  readonly coords: Int32Array;
  readonly width: number;
  /** `[N, channels]`. */
  readonly features: Float32Array;
  readonly channels: number;
  readonly resolution: number;
}

/** Signed distances on the lattice. */
export interface DistanceField {
  readonly lattice: SparseLattice;
  /** By slot: row of the cell whose lowest corner is this point, -1 when that cell is not active. */
  readonly cellOf: Int32Array;
  /** By slot: number of active cells that touch the point, 0 to 8. */
  readonly touches: Uint8Array;
  /** By slot: signed distance, negative inside. */
  readonly sdf: Float32Array;
}

/**
 * Averages the signed distances.
 *
 * @returns the field, or the row of a cell that repeats an earlier one.
 */
export function gatherDistances(cells: CellRecords): DistanceField | { duplicate: number } {
  const { coords, width, features, channels, resolution } = cells;
  const lattice = new SparseLattice(coords, width, resolution);
  const cellOf = new Int32Array(lattice.slots).fill(-1);
  const touches = new Uint8Array(lattice.slots);
  const sdf = new Float32Array(lattice.slots);
  // The network predicts distances that are one cell edge too large by convention.
  const bias = Math.fround(-1 / resolution);
  const corners = new Int32Array(8);
  const count = coords.length / width;
  for (let cell = 0; cell < count; cell++) {
    const at = cell * width + width - 3;
    const x = coords[at]!;
    const y = coords[at + 1]!;
    const z = coords[at + 2]!;
    const slot = lattice.slotOf(x, y, z);
    if (cellOf[slot]! >= 0) return { duplicate: cell };
    cellOf[slot] = cell;
    lattice.cornerSlots(slot, x, y, z, corners);
    const record = cell * channels + SDF_CHANNEL;
    for (let corner = 0; corner < 8; corner++) {
      const point = corners[corner]!;
      sdf[point] = sdf[point]! + Math.fround(features[record + corner]! + bias);
      touches[point] = touches[point]! + 1;
    }
  }
  for (let point = 0; point < sdf.length; point++) {
    const contributions = touches[point]!;
    sdf[point] = contributions === 0 ? 1 : sdf[point]! / contributions;
  }
  return { lattice, cellOf, touches, sdf };
}

/** Values at the lattice points that surface cells use, numbered densely. */
export interface PointValues {
  /** By slot: number of the point, -1 where unused. */
  readonly pointOf: Int32Array;
  /** `[P]` signed distance. */
  readonly sdf: Float32Array;
  /** `[P, 3]` world position, displaced by at most half a cell. */
  readonly positions: Float32Array;
  /** `[P, 6]` colour and normal in (0, 1), or null for records without them. */
  readonly attributes: Float32Array | null;
}

/**
 * Averages displacement and attributes at the corners of the surface cells.
 *
 * @param surfaceSlots slots of the surface cells, `surfaceCoords` `[S, 3]` their coordinates.
 */
export function gatherPoints(
  cells: CellRecords,
  field: DistanceField,
  surfaceSlots: Int32Array,
  surfaceCoords: Uint16Array,
): PointValues {
  const { lattice, touches } = field;
  const { coords, width, features, channels, resolution } = cells;
  const pointOf = new Int32Array(lattice.slots).fill(-1);
  const corners = new Int32Array(8);

  // Number the points; at most eight per cell, usually about two.
  const pointSlots = new Int32Array(Math.min(surfaceSlots.length * 8, lattice.slots));
  const positions = new Float32Array(pointSlots.length * 3);
  let points = 0;
  for (let s = 0; s < surfaceSlots.length; s++) {
    const x = surfaceCoords[s * 3]!;
    const y = surfaceCoords[s * 3 + 1]!;
    const z = surfaceCoords[s * 3 + 2]!;
    lattice.cornerSlots(surfaceSlots[s]!, x, y, z, corners);
    for (let corner = 0; corner < 8; corner++) {
      const slot = corners[corner]!;
      if (pointOf[slot]! >= 0) continue;
      positions[points * 3] = x + (corner & 1);
      positions[points * 3 + 1] = y + ((corner >> 1) & 1);
      positions[points * 3 + 2] = z + (corner >> 2);
      pointSlots[points] = slot;
      pointOf[slot] = points++;
    }
  }

  const colored = channels === CHANNELS_COLORED;
  const stride = colored ? 9 : 3;
  const sums = new Float32Array(points * stride);
  const count = coords.length / width;
  for (let cell = 0; cell < count; cell++) {
    const at = cell * width + width - 3;
    const x = coords[at]!;
    const y = coords[at + 1]!;
    const z = coords[at + 2]!;
    lattice.cornerSlots(lattice.slotOf(x, y, z), x, y, z, corners);
    const record = cell * channels;
    for (let corner = 0; corner < 8; corner++) {
      const point = pointOf[corners[corner]!]!;
      if (point < 0) continue;
      const to = point * stride;
      const deform = record + DEFORM_CHANNEL + corner * 3;
      sums[to] = sums[to]! + features[deform]!;
      sums[to + 1] = sums[to + 1]! + features[deform + 1]!;
      sums[to + 2] = sums[to + 2]! + features[deform + 2]!;
      if (!colored) continue;
      const color = record + COLOR_CHANNEL + corner * 6;
      for (let c = 0; c < 6; c++) sums[to + 3 + c] = sums[to + 3 + c]! + features[color + c]!;
    }
  }

  const sdf = new Float32Array(points);
  const attributes = colored ? new Float32Array(points * 6) : null;
  // Just under half a cell, so that displaced points never meet.
  const reach = (1 - 1e-8) / (2 * resolution);
  for (let point = 0; point < points; point++) {
    const slot = pointSlots[point]!;
    sdf[point] = field.sdf[slot]!;
    const share = Math.max(touches[slot]!, 1);
    const from = point * stride;
    for (let axis = 0; axis < 3; axis++) {
      const deform = Math.fround(sums[from + axis]! / share);
      const at = point * 3 + axis;
      positions[at] = positions[at]! / resolution - 0.5 + reach * tanh(deform);
    }
    if (attributes === null) continue;
    for (let c = 0; c < 6; c++) {
      attributes[point * 6 + c] = sigmoid(Math.fround(sums[from + 3 + c]! / share));
    }
  }
  return { pointOf, sdf, positions: positions.subarray(0, points * 3), attributes };
}
