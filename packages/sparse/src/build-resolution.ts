/** Builders of coarser, finer and strided voxel sets. They return plain parts; the structure wraps them. */
import { InputError, type Tensor } from '@pergola/core';
import type { Bounds } from './check-coords.ts';
import { convOutputCoords, subdivideCoords, transformCoords } from './ops/coords.ts';
import { COORD_MAX, COORD_MIN } from './ops/hash.ts';
import { batchOffsets } from './ops/inspect.ts';
import type { NeighborMapAttrs } from './ops/neighbors.ts';
import { shrink, uniqueCoords, type UniqueCoords } from './ops/unique.ts';
import type { SparseStructure } from './structure.ts';
import type { StridedOptions } from './structure-parts.ts';
import { type Triple } from './ops/checks.ts';

/** A voxel list that needs no further checks. */
export interface TrustedCoords {
  readonly coords: Tensor;
  readonly bounds: Bounds;
  /** i32 `[B + 1]`. */
  readonly offsets: Tensor;
  readonly lengths: readonly number[];
}

/** Lengths of the segments between offsets. Waits for the device. */
export async function readLengths(offsets: Tensor): Promise<number[]> {
  const starts = await offsets.values();
  return Array.from({ length: starts.length - 1 }, (_, b) => starts[b + 1]! - starts[b]!);
}

function mapBounds(
  bounds: Bounds,
  low: (x: number) => number,
  high: (x: number) => number,
): Bounds {
  if (bounds === undefined) return undefined;
  const [a, b, c] = bounds.min;
  const [d, e, f] = bounds.max;
  return { min: [low(a), low(b), low(c)], max: [high(d), high(e), high(f)] };
}

/** @internal For `SparseStructure.downsample`. */
export async function buildDownsampling(
  structure: SparseStructure,
  factor: number,
): Promise<{ coarse: TrustedCoords; groups: UniqueCoords }> {
  using cells = transformCoords(structure.coords, { divisor: factor });
  const groups = await uniqueCoords(cells);
  const offsets = batchOffsets(groups.coords, { batchSize: structure.batchSize });
  const divide = (x: number): number => Math.floor(x / factor);
  const coarse = {
    coords: groups.coords,
    bounds: mapBounds(structure.bounds, divide, divide),
    offsets,
    lengths: await readLengths(offsets),
  };
  return { coarse, groups };
}

/** @internal For `SparseStructure.subdivide`. */
export function buildSubdivision(structure: SparseStructure): TrustedCoords {
  const bounds = mapBounds(
    structure.bounds,
    (x) => 2 * x,
    (x) => 2 * x + 1,
  );
  if (bounds !== undefined) {
    const [low, high] = [Math.min(...bounds.min), Math.max(...bounds.max)];
    if (low < COORD_MIN || high > COORD_MAX) {
      throw new InputError(
        `subdivide: children must be at ${COORD_MIN} to ${COORD_MAX}, got ${low} to ${high}.`,
      );
    }
  }
  const lengths = structure.lengths.map((length) => 8 * length);
  const starts = new Int32Array(lengths.length + 1);
  for (const [b, length] of lengths.entries()) starts[b + 1] = starts[b]! + length;
  return {
    coords: subdivideCoords(structure.coords),
    bounds,
    offsets: structure.device.tensor(starts, [starts.length]),
    lengths,
  };
}

function checkInside({ min, max }: NonNullable<Bounds>, shape: Triple): void {
  for (let axis = 0; axis < 3; axis++) {
    if (min[axis]! < 0 || max[axis]! >= shape[axis]!) {
      throw new InputError(
        `strided: voxels must lie in 0 to ${shape[axis]! - 1} along ${'xyz'[axis]} (or pass spatialShape 'unbounded'), got ${min[axis]} to ${max[axis]}.`,
      );
    }
  }
}

/** Extent of the output grid of a dense convolution; null when nothing bounds it. */
function outputExtent(
  bounds: Bounds,
  { kernelSize, stride, padding, dilation }: NeighborMapAttrs,
  spatialShape: StridedOptions['spatialShape'],
): Triple | null {
  if (spatialShape === 'unbounded') return null;
  const max = bounds?.max ?? [0, 0, 0];
  const shape = spatialShape ?? [max[0] + 1, max[1] + 1, max[2] + 1];
  if (bounds !== undefined) checkInside(bounds, shape);
  const extent = (size: number): number =>
    Math.max(0, Math.floor((size + 2 * padding - dilation * (kernelSize - 1) - 1) / stride) + 1);
  return [extent(shape[0]), extent(shape[1]), extent(shape[2])];
}

/** The output voxels of a strided convolution, ascending. @internal For `SparseStructure.strided`. */
export async function buildStridedCoords(
  structure: SparseStructure,
  attrs: NeighborMapAttrs,
  spatialShape: StridedOptions['spatialShape'],
): Promise<Tensor> {
  const outputShape = outputExtent(structure.bounds, attrs, spatialShape);
  using candidates = convOutputCoords(structure.coords, { ...attrs, outputShape });
  const groups = await uniqueCoords(candidates);
  for (const part of [groups.inverse, groups.order, groups.offsets, groups.counts]) part.dispose();
  // Places without an output sort behind the last batch element.
  using offsets = batchOffsets(groups.coords, { batchSize: structure.batchSize });
  const starts = await offsets.values();
  return shrink(groups.coords, starts[structure.batchSize]!);
}
