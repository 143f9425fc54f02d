/**
 * The two sides of a dense convolution as a matrix product, without an im2col buffer: a row for each output position, a
 * column for each output channel. The depth runs over taps and input channels, channels fastest.
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
} from '../product/operand.ts';
import type { ParamType } from '../wgsl/program.ts';

type Triple = readonly [number, number, number];

/** A convolution over three spatial axes; images have one of extent 1 in front. */
export interface ConvGeometry {
  readonly dtype: DType;
  /** Input channels of one group. */
  readonly channels: number;
  readonly extents: Triple;
  readonly outExtents: Triple;
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padding: Triple;
  readonly dilation: Triple;
}

/** Where an image lies: strides in elements. */
export interface ImageStrides {
  readonly batch: number;
  readonly channel: number;
  readonly spatial: Triple;
}

const AXES = [0, 1, 2] as const;

function volume([a, b, c]: Triple): number {
  return a * b * c;
}

/** WGSL vector of the parameters `<name>0` to `<name>2`. */
function vector(type: 'u32' | 'i32', name: string): string {
  return `vec3<${type}>(${AXES.map((axis) => `params.${name}${axis}`).join(', ')})`;
}

/** WGSL statement that ends a read past the depth. */
function pastDepth(zero: string): string {
  return `if (depth >= params.depth) { return ${zero}; }`;
}

function imageCode(side: Side, shape: OperandShape): string {
  const { width, wide, ragged } = shape;
  const type = readType(width);
  const channel = wide ? `channel / ${width}u` : `channel * params.${side}_channel_s`;
  const one = `
  let tap = depth / params.channels;
  let channel = depth % params.channels;
  let place = vec3<u32>(tap / params.kernel2 / params.kernel1, tap / params.kernel2 % params.kernel1, tap % params.kernel2);
  // Positions before the first are beyond the last, too.
  let at = vec3<u32>(line.corner + vec3<i32>(place) * ${vector('i32', 'dilation')});`;
  const inside = `all(at < ${vector('u32', 'extent')})`;
  const load = `load_${side}(line.image + dot(at, ${vector('u32', `${side}_s`)}) + ${channel})`;
  const read = wide
    ? `
fn ${side}_read(line: ${side}_handle, depth: u32) -> ${type} {
  ${ragged ? pastDepth(`${type}()`) : ''}${one}
  if (${inside}) { return ${load}; }
  return ${type}();
}`
    : `
fn ${side}_element(line: ${side}_handle, depth: u32) -> f32 {
  ${pastDepth('0.0')}${one}
  if (${inside}) { return ${load}; }
  return 0.0;
}
fn ${side}_read(line: ${side}_handle, depth: u32) -> ${type} {
  return ${gatherElements(width, (i) => `${side}_element(line, depth + ${i}u)`)};
}`;
  return `
struct ${side}_handle { image: u32, corner: vec3<i32> }
fn ${side}_base(group: u32) -> u32 { return group * params.${side}_group_s; }
fn ${side}_line(base: u32, line: u32) -> ${side}_handle {
  let row = min(line, ${LINES[side]} - 1u);
  let image = row / params.positions;
  let at = row % params.positions;
  let place = vec3<u32>(at / params.out2 / params.out1, at / params.out2 % params.out1, at % params.out2);
  let corner = vec3<i32>(place) * ${vector('i32', 'stride')} - ${vector('i32', 'padding')};
  return ${side}_handle(base + image * params.${side}_image_s, corner);
}${read}`;
}

/** Rows of an image: what the taps of each output position meet, zero outside. Batch elements are groups. */
export function imageRows(geometry: ConvGeometry, strides: ImageStrides): OperandSource {
  const { dtype, channels, extents, outExtents, kernel } = geometry;
  return {
    alongDepth: true,
    fitsWide: (width) =>
      strides.channel === 1 &&
      [channels, strides.batch, ...strides.spatial].every((number) => number % width === 0),
    make(side, shape) {
      // Positions count accesses.
      const unit = shape.wide ? shape.width : 1;
      const types: Record<string, ParamType> = {};
      const values: Record<string, number> = {};
      const put = (name: string, value: number, type: ParamType = 'u32'): void => {
        types[name] = type;
        values[name] = value;
      };
      put('channels', channels);
      put('positions', volume(outExtents));
      for (const axis of AXES) {
        put(`extent${axis}`, extents[axis]);
        put(`${side}_s${axis}`, strides.spatial[axis] / unit);
        put(`stride${axis}`, geometry.stride[axis], 'i32');
        put(`padding${axis}`, geometry.padding[axis], 'i32');
        put(`dilation${axis}`, geometry.dilation[axis], 'i32');
        // The first extent is never divided by.
        if (axis > 0) put(`out${axis}`, outExtents[axis]);
        if (axis > 0) put(`kernel${axis}`, kernel[axis]);
      }
      put(`${side}_image_s`, strides.batch / unit);
      put(`${side}_group_s`, (channels * strides.channel) / unit);
      put(`${side}_channel_s`, strides.channel);
      return {
        binding: operandBinding(side, dtype, shape),
        types,
        values,
        along: 'depth',
        code: imageCode(side, shape),
      };
    },
  };
}

/** Strides of the weights, in elements. */
export interface WeightStrides {
  readonly unit: number;
  readonly channel: number;
  readonly tap: number;
}

/** Weights at any strides, read one by one, beside `imageRows`; `units` is the number of columns of a group. */
export function strayWeights(
  dtype: DType,
  units: number,
  { unit, channel, tap }: WeightStrides,
): OperandSource {
  return {
    alongDepth: false,
    fitsWide: () => false,
    make(side, shape) {
      return {
        binding: operandBinding(side, dtype, shape),
        types: {
          [`${side}_group_s`]: 'u32',
          [`${side}_line_s`]: 'u32',
          [`${side}_tap_s`]: 'u32',
          [`${side}_channel_s`]: 'u32',
        },
        values: {
          [`${side}_group_s`]: units * unit,
          [`${side}_line_s`]: unit,
          [`${side}_tap_s`]: tap,
          [`${side}_channel_s`]: channel,
        },
        along: 'depth',
        code: `
fn ${side}_base(group: u32) -> u32 { return group * params.${side}_group_s; }
fn ${side}_line(base: u32, line: u32) -> u32 { return base + min(line, ${LINES[side]} - 1u) * params.${side}_line_s; }
fn ${side}_element(line: u32, depth: u32) -> f32 {
  ${pastDepth('0.0')}
  return load_${side}(line + depth / params.channels * params.${side}_tap_s + depth % params.channels * params.${side}_channel_s);
}
fn ${side}_read(line: u32, depth: u32) -> ${readType(shape.width)} {
  return ${gatherElements(shape.width, (i) => `${side}_element(line, depth + ${i}u)`)};
}`,
      };
    },
  };
}
