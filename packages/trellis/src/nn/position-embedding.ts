/** Sine and cosine embedding of integer voxel positions. */
import { concat, gather, InputError, zeros, type Device, type Tensor } from '@pergola/core';
import type { SparseStructure } from '@pergola/sparse';

/** Positions per axis that have an embedding: as many as ten bits hold. */
export const MAX_POSITION = 1024;
// Ratio of the slowest to the fastest frequency (Vaswani et al., arXiv 1706.03762).
const MAX_PERIOD = 10000;

/** Frequencies per axis for an embedding of `channels`: a third of the width, half sines and half cosines. */
export function positionFrequencies(channels: number): number {
  return Math.floor(Math.floor(channels / 3) / 2);
}

/**
 * Embeddings of the positions `0..count-1` along one axis, `[count, 2F]` row-major: F sines, then F cosines.
 * Every step rounds to f32, since the arguments of the sines reach hundreds of radians.
 */
export function axisPositionTable(count: number, channels: number): Float32Array {
  const frequencies = positionFrequencies(channels);
  const table = new Float32Array(count * 2 * frequencies);
  for (let i = 0; i < frequencies; i++) {
    const exponent = Math.fround(i / frequencies);
    const omega = Math.fround(1 / Math.fround(MAX_PERIOD ** exponent));
    for (let p = 0; p < count; p++) {
      const angle = Math.fround(p * omega);
      table[p * 2 * frequencies + i] = Math.sin(angle);
      table[p * 2 * frequencies + frequencies + i] = Math.cos(angle);
    }
  }
  return table;
}

/**
 * Embedding table of a whole grid, `[resolution³, channels]` row-major, z fastest: per axis x, y, z the sines and
 * cosines, then zeros up to `channels`.
 */
export function gridPositionTable(resolution: number, channels: number): Float32Array {
  const width = 2 * positionFrequencies(channels);
  const axis = axisPositionTable(resolution, channels);
  const row = (p: number): Float32Array => axis.subarray(p * width, (p + 1) * width);
  const table = new Float32Array(resolution ** 3 * channels);
  let at = 0;
  for (let x = 0; x < resolution; x++) {
    for (let y = 0; y < resolution; y++) {
      for (let z = 0; z < resolution; z++, at += channels) {
        table.set(row(x), at);
        table.set(row(y), at + width);
        table.set(row(z), at + 2 * width);
      }
    }
  }
  return table;
}

/**
 * The table from which `embedPositions` gathers, f32 `[1024, 2F]`: upload it once per network.
 */
export function uploadPositionTable(device: Device, channels: number): Tensor {
  const width = 2 * positionFrequencies(channels);
  return device.tensor(axisPositionTable(MAX_POSITION, channels), [MAX_POSITION, width]);
}

/**
 * Embeds voxel coordinates on the device.
 *
 * @param coords i32 `[N, 4]` as (batch, x, y, z), positions from 0 to 1023.
 * @param table from `uploadPositionTable`, for the same `channels`.
 * @returns f32 `[N, channels]`: x, y, z embeddings side by side, then zeros where the width does not divide by six.
 */
export function embedPositions(coords: Tensor, table: Tensor, channels: number): Tensor {
  const [count, width] = [coords.shape[0]!, table.shape[1]!];
  return coords.device.run(() => {
    const parts = [1, 2, 3].map((column) => gather(table, coords.select(1, column)));
    const rest = channels - 3 * width;
    if (rest > 0) parts.push(zeros(coords.device, [count, rest]));
    return concat(parts, { axis: 1 });
  });
}

/** @throws InputError unless every position has an embedding. */
export function checkPositions(op: string, structure: SparseStructure): void {
  const { bounds } = structure;
  if (bounds === undefined) return;
  const [low, high] = [Math.min(...bounds.min), Math.max(...bounds.max)];
  if (low >= 0 && high < MAX_POSITION) return;
  throw new InputError(
    `${op}: positions must be from 0 to ${MAX_POSITION - 1}, got ${low} to ${high}.`,
  );
}
