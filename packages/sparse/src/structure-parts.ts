/** The plain values that a sparse structure hands out: kernel maps, partitions, and changes of resolution. */
import type { Tensor } from '@pergola/core';
import type { CurveOrder } from './ops/curves.ts';
import type { SparseStructure } from './structure.ts';
import { type Triple } from './ops/checks.ts';

/** Neighbours of every output row under a cubic kernel. */
export interface KernelMap {
  /** i32 `[M, K^3]`: input row of tap `(kx * K + ky) * K + kz`, or -1. */
  readonly map: Tensor;
  readonly kernelSize: number;
  /** Rows of the input side: the features that go in have this many. */
  readonly inputRows: number;
}

/** Rows regrouped into attention sequences. */
export interface AttentionPartition {
  /** i32 `[T]`: row at each place of the sequences; T is N for windows, at least N for serialised chunks. */
  readonly order: Tensor;
  /** i32 `[N]`: the place from which each row takes its result. */
  readonly inverse: Tensor;
  /** i32 `[S + 1]`: places of sequence s are `offsets[s] .. offsets[s + 1] - 1`. */
  readonly offsets: Tensor;
  /** Places of the longest sequence. */
  readonly maxLength: number;
}

/** Cubic windows of non-empty space. */
export type WindowPartition = AttentionPartition;

/** A coarser structure and how the rows meet. */
export interface Downsampling {
  /** The coarse voxels, ascending by (batch, x, y, z). Owned by the fine structure. */
  readonly structure: SparseStructure;
  /** i32 `[N]`: coarse row of each fine row. */
  readonly index: Tensor;
  /** i32 `[N]`: fine rows sorted by coarse row. */
  readonly order: Tensor;
  /** i32 `[M + 1]`: the fine rows of coarse row g are `order[offsets[g]] .. order[offsets[g + 1] - 1]`. */
  readonly offsets: Tensor;
  /** i32 `[M]`: fine rows per coarse row. */
  readonly counts: Tensor;
}

/** The outputs of a strided convolution, and its pairs read from both sides. */
export interface StridedMap {
  /** The output voxels, ascending by (batch, x, y, z). Owned by the input structure. */
  readonly structure: SparseStructure;
  /** For the convolution: one row per output voxel. */
  readonly forward: KernelMap;
  /** For the inverse convolution back to the input voxels: one row per input voxel. */
  readonly inverse: KernelMap;
}

/** A kernel of a submanifold convolution. */
export interface KernelMapOptions {
  /** Taps per axis, odd. */
  readonly kernelSize: number;
  /** Voxels between taps. Default 1. */
  readonly dilation?: number;
}

/** A window partition. */
export interface WindowOptions {
  /** Voxels per axis. */
  readonly size: number | Triple;
  /** Added to the coordinates before they are cut into windows; nothing wraps round. Default 0. */
  readonly shift?: number | Triple;
}

/** A partition along a space-filling curve. */
export interface SerializeOptions {
  readonly order: CurveOrder;
  /** Places per chunk. */
  readonly window: number;
  /** Added to the coordinates before they are encoded; they must stay in 0 to 1023. Default 0. */
  readonly shift?: number | Triple;
  /** Places by which the chunks are moved along the curve, 0 to `window`. Default 0. */
  readonly sequenceShift?: number;
}

/** A strided convolution. */
export interface StridedOptions {
  /** Taps per axis. */
  readonly kernelSize: number;
  readonly stride: number;
  /** Default 0. */
  readonly padding?: number;
  /** Default 1. */
  readonly dilation?: number;
  /**
   * Extent of the input grid, which starts at 0; bounds the outputs as in a dense convolution. Defaults to the largest
   * coordinate plus one; `unbounded` keeps every output that a tap reaches, also at negative coordinates.
   */
  readonly spatialShape?: Triple | 'unbounded';
}
