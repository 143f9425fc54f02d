/** Cases of packed attention. */
import { attentionOp } from '../../ops/attention.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  floats,
  indices,
  type ConformanceCase,
  type Fill,
  type Tolerances,
  type ViewKind,
} from '../case.ts';

const ATTENTION: Tolerances = { ...DEFAULT_TOLERANCES, f32: { nmse: 1e-10, maxAbs: 5e-5 } };

interface Setup {
  readonly heads: number;
  readonly depth: number;
  /** Lengths of the query sequences. */
  readonly q: readonly number[];
  /** Lengths of the key sequences; those of the queries when absent. */
  readonly k?: readonly number[];
  readonly causal?: boolean;
  readonly scale?: number;
  readonly view?: ViewKind;
  readonly fill?: Fill;
  /** Bounds larger than the longest sequences, as callers may give them. */
  readonly slack?: number;
}

function offsetsOf(lengths: readonly number[]): number[] {
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets[offsets.length - 1]! + length);
  return offsets;
}

function one(name: string, setup: Setup): ConformanceCase {
  const { heads, depth, q, k = q, causal = false, view, fill, slack = 0 } = setup;
  const offsetsQ = offsetsOf(q);
  const offsetsK = offsetsOf(k);
  const rowsK = [offsetsK[offsetsK.length - 1]!, heads, depth];
  const inputs = [
    floats([offsetsQ[offsetsQ.length - 1]!, heads, depth], fill, view),
    floats(rowsK, fill, view),
    floats(rowsK, undefined, view),
    indices([offsetsQ.length], offsetsQ),
    indices([offsetsK.length], offsetsK),
  ];
  const attrs = {
    maxQ: Math.max(0, ...q) + slack,
    maxK: Math.max(0, ...k) + slack,
    causal,
    scale: setup.scale ?? 1 / Math.sqrt(depth),
  };
  return conformanceCase(attentionOp, name, inputs, attrs, { tolerance: ATTENTION });
}

/** Cases of the family `attention`. */
export function attentionCases(): ConformanceCase[] {
  const depths = [1, 3, 16, 31, 32, 33, 64, 80, 96, 128];
  return [
    one('self', { heads: 2, depth: 8, q: [7] }),
    one('cross', { heads: 2, depth: 16, q: [5, 9], k: [11, 3] }),
    ...depths.map((depth) => one(`depth ${depth}`, { heads: 2, depth, q: [13], k: [17] })),
    one('several sequences', { heads: 3, depth: 8, q: [5, 1, 12, 7] }),
    one('empty sequences', { heads: 2, depth: 8, q: [0, 5, 0, 3, 0], k: [4, 0, 0, 6, 2] }),
    one('no queries', { heads: 2, depth: 8, q: [0], k: [5] }),
    one('no keys', { heads: 2, depth: 8, q: [5], k: [0] }),
    one('no sequences', { heads: 2, depth: 8, q: [] }),
    one('one key', { heads: 2, depth: 8, q: [65], k: [1] }),
    one('one query', { heads: 2, depth: 8, q: [1], k: [65] }),
    one('31 keys', { heads: 1, depth: 16, q: [31] }),
    one('33 keys', { heads: 1, depth: 16, q: [33] }),
    one('64 keys', { heads: 1, depth: 16, q: [64] }),
    one('129 keys', { heads: 2, depth: 32, q: [65], k: [129] }),
    // The head sizes of networks, over more queries and keys than one step of a tile.
    ...[32, 64, 80, 96, 128].flatMap((depth) => [
      one(`sequences, depth ${depth}`, { heads: 1, depth, q: [70, 0, 5], k: [40, 3, 100] }),
      one(`windows, depth ${depth}`, { heads: 2, depth, q: [9, 33, 1, 0, 17] }),
    ]),
    one('many short', { heads: 2, depth: 8, q: Array.from({ length: 40 }, (_, i) => i % 4) }),
    one('causal', { heads: 2, depth: 8, q: [7, 34], causal: true }),
    one('causal, more keys', { heads: 2, depth: 8, q: [5], k: [9], causal: true }),
    one('causal, fewer keys', { heads: 2, depth: 8, q: [9, 3], k: [5, 0], causal: true }),
    one('unbound', { heads: 3, depth: 16, q: [9, 12], view: 'unbound' }),
    one('sliced', { heads: 2, depth: 8, q: [9, 4], view: 'sliced' }),
    one('head first', { heads: 4, depth: 8, q: [9, 4], view: 'transposed' }),
    one('generous bounds', { heads: 2, depth: 8, q: [7, 3], k: [5, 9], slack: 70 }),
    one('own scale', { heads: 2, depth: 8, q: [9], scale: 0.05 }),
    one('large logits', {
      heads: 2,
      depth: 16,
      q: [20],
      scale: 4,
      fill: { kind: 'normal', scale: 4 },
    }),
    one('large', { heads: 4, depth: 64, q: [100, 60], k: [150, 77] }),
  ];
}
