/**
 * The two sides of a sparse convolution as a matrix product, without an im2col buffer: rows of x gathered through the
 * neighbour map, and the weights. The depth runs over taps and channels, channels fastest.
 *
 * Strategies that make a tile of rows per workgroup first list the taps that some row of the tile has, and walk through
 * those alone. Steps that fit the channels stay within one tap; where they straddle taps, the depth counts channels of
 * the listed taps.
 */
import type { DType } from '@pergola/core';
import {
  gatherElements,
  LINES,
  operandBinding,
  readType,
  type OperandShape,
  type OperandSource,
  type Side,
  type Walk,
} from '../../product/operand.ts';

/** Sizes of a sparse convolution. */
export interface ConvShape {
  readonly dtype: DType;
  /** Rows of x. */
  readonly sources: number;
  /** Rows of the map and of the result. */
  readonly rows: number;
  readonly taps: number;
  /** Input channels. */
  readonly channels: number;
  /** Output channels. */
  readonly columns: number;
}

/** How reads find their tap: by the place in the depth, or in the list, or from the walk for a whole step. */
type TapMode = 'whole' | 'listed' | 'walked';

function tapMode({ channels }: ConvShape, { walked, step }: OperandShape): TapMode {
  if (!walked) return 'whole';
  return channels > 0 && channels % step === 0 ? 'walked' : 'listed';
}

/** WGSL of `tap_of(depth)`, a tap and a channel, and of `depth_stop()`, the end of the depth as data. */
const TAP_CODE: Readonly<Record<TapMode, string>> = {
  whole: `
fn tap_of(depth: u32) -> vec2<u32> { return vec2<u32>(depth / params.channels, depth % params.channels); }
fn depth_stop() -> u32 { return params.depth; }`,
  listed: `
fn tap_of(depth: u32) -> vec2<u32> { return vec2<u32>(tap_list[depth / params.channels], depth % params.channels); }
fn depth_stop() -> u32 { return tap_count * params.channels; }
fn walk_at(step: u32) -> u32 { return step; }`,
  walked: `
var<private> walk_tap: u32;
fn tap_of(depth: u32) -> vec2<u32> { return vec2<u32>(walk_tap, depth - walk_tap * params.channels); }
fn depth_stop() -> u32 { return params.depth; }
fn walk_at(step: u32) -> u32 {
  let place = step / params.channels;
  walk_tap = tap_list[place];
  return (walk_tap - place) * params.channels + step;
}`,
};

/** Lists the taps of a tile, in ascending order. */
function tapWalk(taps: number): Walk {
  const words = Math.ceil(taps / 32);
  return {
    code: (rows, workgroup) => `
var<workgroup> tap_seen: array<atomic<u32>, ${words}>;
fn walk_length(first: u32, lane: u32) -> u32 {
  for (var word = lane; word < ${words}u; word += ${workgroup}u) { atomicStore(&tap_seen[word], 0u); }
  workgroupBarrier();
  let entries = min(params.rows - first, ${rows}u) * ${taps}u;
  for (var i = lane; i < entries; i += ${workgroup}u) {
    if (u32(load_map(first * ${taps}u + i)) < params.sources) {
      let tap = i % ${taps}u;
      let bit = 1u << (tap % 32u);
      // Reading first spares most of the atomic writes.
      if ((atomicLoad(&tap_seen[tap / 32u]) & bit) == 0u) { atomicOr(&tap_seen[tap / 32u], bit); }
    }
  }
  workgroupBarrier();
  for (var tap = lane; tap < ${taps}u; tap += ${workgroup}u) {
    let bit = 1u << (tap % 32u);
    let seen = atomicLoad(&tap_seen[tap / 32u]);
    if ((seen & bit) == 0u) { continue; }
    var place = countOneBits(seen & (bit - 1u));
    for (var word = 0u; word < tap / 32u; word++) { place += countOneBits(atomicLoad(&tap_seen[word])); }
    tap_list[place] = tap;
  }
  if (lane == 0u) {
    var count = 0u;
    for (var word = 0u; word < ${words}u; word++) { count += countOneBits(atomicLoad(&tap_seen[word])); }
    tap_count = count;
  }
  // Waits for the list, too.
  return workgroupUniformLoad(&tap_count) * params.channels;
}
`,
  };
}

/** WGSL that ends reads past the depth. */
function past(zero: string): string {
  return `if (depth >= depth_stop()) { return ${zero}; }`;
}

/** WGSL of `<side>_read` from `one`, statements that return the access at `at`, a tap and a channel, or ZERO. */
function readCode(
  side: Side,
  mode: TapMode,
  { width, wide, ragged }: OperandShape,
  one: string,
): string {
  const type = readType(width);
  if (wide) {
    // The listed taps end where they end, not at the end of a step.
    return `
fn ${side}_read(line: u32, depth: u32) -> ${type} {
  ${ragged || mode === 'listed' ? past(`${type}()`) : ''}
  let at = tap_of(depth) / vec2<u32>(1u, ${width}u);
  ${one.replace('ZERO', `${type}()`)}
}`;
  }
  return `
fn ${side}_element(line: u32, depth: u32) -> f32 {
  ${past('0.0')}
  let at = tap_of(depth);
  ${one.replace('ZERO', '0.0')}
}
fn ${side}_read(line: u32, depth: u32) -> ${type} {
  return ${gatherElements(width, (i) => `${side}_element(line, depth + ${i}u)`)};
}`;
}

/** Rows of x by the map; absent ones are zero. Binds `map` beside x. */
export function gatheredRows(shape: ConvShape): OperandSource {
  const { dtype, sources, taps, channels } = shape;
  return {
    alongDepth: true,
    fitsWide: (width) => channels % width === 0,
    make(side, operandShape) {
      const { walked, wide, width } = operandShape;
      const mode = tapMode(shape, operandShape);
      const list = `var<workgroup> tap_list: array<u32, ${taps}>;\nvar<workgroup> tap_count: u32;`;
      const read = `// A negative row is beyond the last, too.
  let source = u32(load_map(line + at.x));
  if (source >= params.sources) { return ZERO; }
  return load_${side}(source * params.source_s + at.y);`;
      return {
        binding: operandBinding(side, dtype, operandShape),
        extra: [{ name: 'map', dtype: 'i32', use: 'read' }],
        types: { sources: 'u32', channels: 'u32', source_s: 'u32' },
        values: { sources, channels, source_s: wide ? channels / width : channels },
        along: 'depth',
        ...(walked ? { walk: tapWalk(taps) } : {}),
        code: `${walked ? list : ''}${TAP_CODE[mode]}
fn ${side}_base(batch: u32) -> u32 { return 0u; }
fn ${side}_line(base: u32, line: u32) -> u32 { return min(line, ${LINES[side]} - 1u) * ${taps}u; }
${readCode(side, mode, operandShape, read)}`,
      };
    },
  };
}

/** Weights `[columns, taps, channels]`; beside `gatheredRows`, whose taps they follow. */
export function tapWeights(shape: ConvShape): OperandSource {
  const { dtype, taps, channels } = shape;
  return {
    alongDepth: true,
    fitsWide: (width) => channels % width === 0,
    make(side, operandShape) {
      const { wide, width } = operandShape;
      const read = `return load_${side}(line + at.x * params.tap_s + at.y);`;
      return {
        binding: operandBinding(side, dtype, operandShape),
        types: { tap_s: 'u32' },
        values: { tap_s: wide ? channels / width : channels },
        along: 'depth',
        code: `
fn ${side}_base(batch: u32) -> u32 { return 0u; }
fn ${side}_line(base: u32, line: u32) -> u32 { return min(line, ${LINES[side]} - 1u) * ${taps}u * params.tap_s; }
${readCode(side, tapMode(shape, operandShape), operandShape, read)}`,
      };
    },
  };
}
