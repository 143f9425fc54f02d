/** Attention among voxels: all of a batch element, windows and serialised chunks, and a dense context. */
import { attention, gather, shapeMismatch, type Tensor } from '@pergola/core';
import type { SparseStructure } from './structure.ts';
import type { AttentionPartition } from './structure-parts.ts';
import { checkRows } from './ops/checks.ts';

/** Options of sparse attention. */
export interface SparseAttentionOptions {
  /** Factor of the scores. Default `1 / sqrt(D)`. */
  readonly scale?: number;
}

/**
 * Full attention: each voxel attends to all voxels of its batch element.
 *
 * @param q `[N, H, D]` float; k and v likewise. Strided views (of a packed `[N, 3, H, D]`) are fine.
 * @returns `[N, H, D]`.
 * @throws ShapeError, DTypeError.
 */
export function sparseAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  structure: SparseStructure,
  options: SparseAttentionOptions = {},
): Tensor {
  const { offsets, maxLength, count } = structure;
  checkRows('sparseAttention', 'q', q, count);
  checkRows('sparseAttention', 'k', k, count);
  return attention(q, k, v, {
    ...options,
    offsetsQ: offsets,
    offsetsK: offsets,
    maxQ: maxLength,
    maxK: maxLength,
  });
}

/**
 * Cross attention: each voxel attends to all rows of a dense context of its batch element.
 *
 * @param q `[N, H, D]` float.
 * @param k `[B, L, H, D]` of the dtype of q; v likewise.
 * @returns `[N, H, D]`.
 * @throws ShapeError, DTypeError.
 */
export function sparseCrossAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  structure: SparseStructure,
  options: SparseAttentionOptions = {},
): Tensor {
  const { batchSize, count, maxLength, offsets } = structure;
  checkRows('sparseCrossAttention', 'q', q, count);
  for (const [name, context] of [
    ['k', k],
    ['v', v],
  ] as const) {
    if (context.rank !== 4 || context.shape[0] !== batchSize) {
      throw shapeMismatch('sparseCrossAttention', name, `[${batchSize}, L, H, D]`, context.shape);
    }
  }
  const length = k.shape[1]!;
  using keys = k.reshape(batchSize * length, k.shape[2]!, k.shape[3]!);
  using values = v.reshape(batchSize * v.shape[1]!, v.shape[2]!, v.shape[3]!);
  return attention(q, keys, values, {
    ...options,
    offsetsQ: offsets,
    offsetsK: structure.contextOffsets(length),
    maxQ: maxLength,
    maxK: length,
  });
}

/**
 * Attention inside the sequences of a partition (windows or serialised chunks).
 *
 * @param q `[N, H, D]` float; k and v likewise.
 * @returns `[N, H, D]`, in row order.
 * @throws ShapeError, DTypeError.
 * @see Liu et al., Swin Transformer, arXiv 2103.14030
 */
export function windowAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  partition: AttentionPartition,
  options: SparseAttentionOptions = {},
): Tensor {
  const rows = partition.inverse.shape[0]!;
  checkRows('windowAttention', 'q', q, rows);
  checkRows('windowAttention', 'k', k, rows);
  checkRows('windowAttention', 'v', v, rows);
  using sortedQ = gather(q, partition.order);
  using sortedK = gather(k, partition.order);
  using sortedV = gather(v, partition.order);
  return attendSorted(sortedQ, sortedK, sortedV, partition, options);
}

/**
 * {@link windowAttention} of one packed tensor, which is regrouped in one pass.
 *
 * @param qkv `[N, 3, H, D]` float: queries, keys, values.
 * @returns `[N, H, D]`, in row order.
 * @throws ShapeError, DTypeError.
 */
export function windowAttentionPacked(
  qkv: Tensor,
  partition: AttentionPartition,
  options: SparseAttentionOptions = {},
): Tensor {
  if (qkv.rank !== 4 || qkv.shape[1] !== 3) {
    throw shapeMismatch('windowAttentionPacked', 'qkv', '[N, 3, H, D]', qkv.shape);
  }
  checkRows('windowAttentionPacked', 'qkv', qkv, partition.inverse.shape[0]!);
  using sorted = gather(qkv, partition.order);
  using q = sorted.select(1, 0);
  using k = sorted.select(1, 1);
  using v = sorted.select(1, 2);
  return attendSorted(q, k, v, partition, options);
}

function attendSorted(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { offsets, inverse, maxLength }: AttentionPartition,
  options: SparseAttentionOptions,
): Tensor {
  using out = attention(q, k, v, {
    ...options,
    offsetsQ: offsets,
    offsetsK: offsets,
    maxQ: maxLength,
    maxK: maxLength,
  });
  return gather(out, inverse);
}
