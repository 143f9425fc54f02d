/** Attention as its planner sees it, and what a strategy makes of it. */
import type { AttentionAttrs, KernelCall } from '@pergola/core';
import type { BindingSpec } from '../wgsl/access.ts';
import type { ProgramSpec } from '../wgsl/program.ts';
import { packedRows, type PackedRows } from './rows.ts';

/** An attention call. */
export interface Attention extends AttentionAttrs {
  readonly heads: number;
  readonly depth: number;
  readonly sequences: number;
  readonly q: PackedRows;
  readonly k: PackedRows;
  readonly v: PackedRows;
}

export function attentionOf({ inputs, attrs }: KernelCall<AttentionAttrs>): Attention {
  const [q, k, v, offsetsQ] = inputs;
  return {
    ...attrs,
    heads: q!.shape[1]!,
    depth: q!.shape[2]!,
    sequences: offsetsQ!.shape[0]! - 1,
    q: packedRows(q!),
    k: packedRows(k!),
    v: packedRows(v!),
  };
}

/** The bindings of the sequences, after those of q, k and v. */
export const OFFSETS: readonly BindingSpec[] = [
  { name: 'offsets_q', dtype: 'i32', use: 'read' },
  { name: 'offsets_k', dtype: 'i32', use: 'read' },
];

/** WGSL of a sequence: its first rows and lengths. The offsets are uniform data, so barriers may depend on them. */
export const SEQUENCE: string = `
struct Sequence { first_q: u32, queries: u32, first_k: u32, keys: u32 }
fn sequence_at(index: u32) -> Sequence {
  let first_q = u32(load_offsets_q(index));
  let first_k = u32(load_offsets_k(index));
  return Sequence(first_q, u32(load_offsets_q(index + 1u)) - first_q, first_k, u32(load_offsets_k(index + 1u)) - first_k);
}`;

/** The part of a program that a strategy supplies. */
export interface AttentionTemplate extends Pick<
  ProgramSpec,
  'each' | 'workgroup' | 'body' | 'enables' | 'subgroupId'
> {
  readonly helpers: readonly string[];
  /** Whether reads may start past the depth. */
  readonly ragged: boolean;
  /** Value of `params.tiles`: pieces of the longest query sequence. */
  readonly tiles: number;
  /** Elements or groups to run over. */
  readonly count: number;
}
