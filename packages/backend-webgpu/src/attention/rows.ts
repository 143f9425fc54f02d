/** The packed rows of q, k and v, as WGSL functions that hide where they lie. */
import type { DType, TensorLayout } from '@pergola/core';
import { gatherElements, readType, type OperandShape, type Width } from '../product/operand.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import type { ParamType } from '../wgsl/program.ts';

/** Rows `[N, H, D]` with strides, in elements; the last axis is contiguous. */
export interface PackedRows {
  readonly dtype: DType;
  readonly depth: number;
  readonly rowStride: number;
  readonly headStride: number;
}

/** The rows of a tensor `[N, H, D]`. */
export function packedRows({ dtype, shape, strides }: TensorLayout): PackedRows {
  return { dtype, depth: shape[2]!, rowStride: strides[0]!, headStride: strides[1]! };
}

/** True when rows are read `width` elements at a time, if the offset is a multiple of that. */
export function readsRowsWide({ depth, rowStride, headStride }: PackedRows, width: Width): boolean {
  return depth % width === 0 && rowStride % width === 0 && headStride % width === 0;
}

/** Rows within a program. */
export interface RowsAccess {
  readonly binding: BindingSpec;
  readonly types: Readonly<Record<string, ParamType>>;
  readonly values: Readonly<Record<string, number>>;
  /**
   * WGSL: `fn x_start(row: u32, head: u32) -> u32`, and `fn x_read(start: u32, depth: u32) -> V` with `width`
   * neighbours along the depth, zero past its end (unless reads never start there). `V` is `vec4<f32>` for width 4, eight halves in `vec4<u32>` for 8.
   */
  readonly code: string;
}

/** Access to the rows of one tensor; `ragged` where reads may start past the depth. */
export function rowsAccess(
  name: 'q' | 'k' | 'v',
  rows: PackedRows,
  { width, wide, ragged }: Pick<OperandShape, 'width' | 'wide' | 'ragged'>,
): RowsAccess {
  const { dtype, rowStride, headStride } = rows;
  const unit = wide ? width : 1;
  const type = readType(width);
  const words = wide && width === 8;
  const read = wide
    ? `return load_${name}(start + depth / ${width}u);`
    : `return ${gatherElements(width, (i) => `${name}_element(start, depth + ${i}u)`)};`;
  const element = wide
    ? ''
    : `
fn ${name}_element(start: u32, depth: u32) -> f32 {
  if (depth >= params.depth) { return 0.0; }
  return load_${name}(start + depth);
}`;
  return {
    binding: {
      name,
      dtype: words ? 'u32' : dtype,
      use: 'read',
      lanes: wide ? 4 : 1,
    },
    types: { [`${name}_row_s`]: 'u32', [`${name}_head_s`]: 'u32' },
    values: { [`${name}_row_s`]: rowStride / unit, [`${name}_head_s`]: headStride / unit },
    code: `
fn ${name}_start(row: u32, head: u32) -> u32 { return row * params.${name}_row_s + head * params.${name}_head_s; }${element}
fn ${name}_read(start: u32, depth: u32) -> ${type} {
  ${ragged ? `if (depth >= params.depth) { return ${type}(); }` : ''}
  ${read}
}`,
  };
}
