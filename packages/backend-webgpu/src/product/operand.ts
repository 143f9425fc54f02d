/**
 * The two sides of a matrix product, as WGSL functions that hide where their elements lie.
 *
 * A product multiplies `left [rows, depth]` with `right [depth, columns]`. Both operands are seen as `lines` (rows of
 * left, columns of right) that run along the depth. An operand `x` offers
 *
 * - `fn x_base(batch: u32) -> u32`: where a batch element starts;
 * - `fn x_line(base: u32, line: u32) -> XLine`: what is known of a line before the depth; lines past the end repeat
 *   the last one, since nobody stores what they give;
 * - `fn x_read(line: XLine, depth: u32) -> V`: `width` neighbours, along the depth or over as many lines; zero past
 *   the depth. `V` is `vec4<f32>` for width 4, and for width 8 the eight halves in a `vec4<u32>`.
 */
import type { DType } from '@pergola/core';
import { walkCode, walkParams } from '../kernels/walk.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import type { ParamType } from '../wgsl/program.ts';

export type Side = 'left' | 'right';

/** Elements of one read: four as f32, or eight packed halves. */
export type Width = 4 | 8;

/** Another way through the depth for each tile of rows, which may leave out parts of it. */
export interface Walk {
  /**
   * WGSL of two functions for tiles of `rows` rows:
   *
   * - `fn walk_length(first: u32, lane: u32) -> u32`, called by all invocations of a workgroup before the rows from
   *   `first` on are walked: the depth that they need;
   * - `fn walk_at(step: u32) -> u32`: the depth to read in place of `step`.
   */
  code(rows: number, workgroup: number): string;
}

/** An operand within a program. */
export interface Operand {
  readonly binding: BindingSpec;
  /** Further bindings of its functions, behind all others. */
  readonly extra?: readonly BindingSpec[];
  readonly walk?: Walk;
  readonly types: Readonly<Record<string, ParamType>>;
  readonly values: Readonly<Record<string, number>>;
  /** Axis of the neighbours that one read returns. */
  readonly along: 'depth' | 'lines';
  /** The three functions. */
  readonly code: string;
}

/** How an operand is specialised. */
export interface OperandShape {
  readonly width: Width;
  /** Whether a read is one access of memory; else its elements are read one by one, at any stride. */
  readonly wide: boolean;
  /** Whether reads may start past the depth. */
  readonly ragged: boolean;
  /** Depth of one step of the strategy. */
  readonly step: number;
  /** Whether the strategy follows the left operand's walk. */
  readonly walked: boolean;
}

/** An operand of a planned product. */
export interface OperandSource {
  /** Whether strides and extents permit wide reads, if the offset is a multiple of `width`. */
  fitsWide(width: Width): boolean;
  /** Whether its lines are contiguous along the depth. */
  readonly alongDepth: boolean;
  make(side: Side, shape: OperandShape): Operand;
}

/** `params.<...>` with the number of lines of a side. */
export const LINES: Readonly<Record<Side, string>> = {
  left: 'params.rows',
  right: 'params.columns',
};

/** Type of a read. */
export function readType(width: Width): string {
  return width === 4 ? 'vec4<f32>' : 'vec4<u32>';
}

/** The binding of an operand: reads of eight halves see its memory as words. */
export function operandBinding(
  side: Side,
  dtype: DType,
  { width, wide }: OperandShape,
): BindingSpec {
  if (!wide) return { name: side, dtype, use: 'read' };
  if (width === 4) return { name: side, dtype, use: 'read', lanes: 4 };
  return { name: side, dtype: 'u32', use: 'read', lanes: 4 };
}

/** A read put together from single elements, given as f32 expressions of their number. */
export function gatherElements(width: Width, element: (i: number) => string): string {
  const four = (first: number): string =>
    `vec4<f32>(${[0, 1, 2, 3].map((i) => element(first + i)).join(', ')})`;
  return width === 4 ? four(0) : `halves_of(${four(0)}, ${four(4)})`;
}

/** A strided matrix for each element of a batch. */
export interface MatrixLayout {
  readonly dtype: DType;
  readonly lines: number;
  readonly depth: number;
  /** In elements. */
  readonly lineStride: number;
  readonly depthStride: number;
  /** Extents of the batch, and the operand's strides over them. */
  readonly batchShape: readonly number[];
  readonly batchStrides: readonly number[];
}

function matrixCode(side: Side, along: 'depth' | 'lines', shape: OperandShape): string {
  const { width, wide, ragged } = shape;
  const type = readType(width);
  const lines = LINES[side];
  const past = ragged ? `\n  if (depth >= params.depth) { return ${type}(); }` : '';
  const at = `${side}_at`;
  if (wide && along === 'depth') {
    return `
alias ${side}_handle = u32;
fn ${side}_line(base: u32, line: u32) -> u32 { return base + min(line, ${lines} - 1u) * params.${side}_line_s; }
fn ${side}_read(line: u32, depth: u32) -> ${type} {${past}
  return load_${side}(line + depth / ${width}u);
}`;
  }
  if (wide) {
    return `
alias ${side}_handle = u32;
fn ${side}_line(base: u32, line: u32) -> u32 { return base + min(line, ${lines} - ${width}u) / ${width}u; }
fn ${side}_read(line: u32, depth: u32) -> ${type} {${past}
  return load_${side}(line + depth * params.${side}_depth_s);
}`;
  }
  const element = (i: number): string =>
    along === 'depth' ? `${at}(line, 0u, depth + ${i}u)` : `${at}(line, ${i}u, depth)`;
  return `
alias ${side}_handle = vec2<u32>;
fn ${side}_line(base: u32, line: u32) -> vec2<u32> { return vec2<u32>(base, line); }
fn ${at}(handle: vec2<u32>, step: u32, depth: u32) -> f32 {
  if (depth >= params.depth) { return 0.0; }
  let line = min(handle.y + step, ${lines} - 1u);
  return load_${side}(handle.x + line * params.${side}_line_s + depth * params.${side}_depth_s);
}
fn ${side}_read(line: vec2<u32>, depth: u32) -> ${type} {
  return ${gatherElements(width, element)};
}`;
}

/** An operand that is a matrix in memory, at any strides. */
export function matrixSource(layout: MatrixLayout): OperandSource {
  const { dtype, lines, depth, lineStride, depthStride, batchShape, batchStrides } = layout;
  const multiples = (width: Width, ...numbers: number[]): boolean =>
    [...numbers, ...batchStrides].every((number) => number % width === 0);
  const along = lineStride === 1 && depthStride !== 1 ? 'lines' : 'depth';
  return {
    alongDepth: depthStride === 1,
    fitsWide(width) {
      if (along === 'lines') return multiples(width, lines, depthStride);
      return depthStride === 1 && multiples(width, depth, lines === 1 ? 0 : lineStride);
    },
    make(side, shape) {
      // Positions count accesses.
      const unit = shape.wide ? shape.width : 1;
      const { types, values } = walkParams(
        { shape: batchShape, strides: [batchStrides.map((stride) => stride / unit)] },
        [side],
        `${side}_b`,
      );
      return {
        binding: operandBinding(side, dtype, shape),
        types: { ...types, [`${side}_line_s`]: 'u32', [`${side}_depth_s`]: 'u32' },
        values: {
          ...values,
          [`${side}_line_s`]: Math.floor(lineStride / unit),
          [`${side}_depth_s`]: Math.floor(depthStride / unit),
        },
        along,
        code: `
fn ${side}_base(batch: u32) -> u32 {
${walkCode(batchShape.length, [side], 'batch', `${side}_b`, '_start')}
  return ${side}_start;
}${matrixCode(side, along, shape)}`,
      };
    },
  };
}
