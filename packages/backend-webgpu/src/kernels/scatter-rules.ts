/** What the strategies of `scatterReduce` share. */
import type { Binding, DType, ScatterReduceAttrs } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext } from '../context.ts';
import { valueType } from '../wgsl/access.ts';

/** Sizes of a call. */
export interface ScatterSizes {
  readonly rows: number;
  /** Number of targets. */
  readonly size: number;
  /** Elements of a row. */
  readonly width: number;
}

/** How values of one target become one, in WGSL. */
export interface Reduction {
  readonly name: ScatterReduceAttrs['reduce'];
  /** Type of a value. */
  readonly type: ReturnType<typeof valueType>;
  /** `fn merge(a, b)` and `fn finish(total, count)`; a target without rows has total and count 0. */
  readonly code: string;
}

/** The reduction of this name for values of this dtype. */
export function reductionOf(name: ScatterReduceAttrs['reduce'], dtype: DType): Reduction {
  const type = valueType(dtype);
  const merged = {
    sum: 'a + b',
    mean: 'a + b',
    max: type === 'f32' ? 'max_f32(a, b)' : 'max(a, b)',
    min: type === 'f32' ? 'min_f32(a, b)' : 'min(a, b)',
  }[name];
  // Integer means truncate when they are stored, as conversions of floats do.
  const finished = name === 'mean' ? `select(total / ${type}(count), total, count == 0u)` : 'total';
  const code = `
fn merge(a: ${type}, b: ${type}) -> ${type} { return ${merged}; }
fn finish(total: ${type}, count: u32) -> ${type} { return ${finished}; }
`;
  return { name, type, code };
}

/** Enqueues the work of one call. */
export type Scatter = (
  context: WebGpuContext,
  src: Binding<GpuBuffer>,
  index: Binding<GpuBuffer>,
  out: Binding<GpuBuffer>,
) => void;
