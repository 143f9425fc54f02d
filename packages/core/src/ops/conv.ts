/** Dense convolution of images and volumes. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import { InputError } from '../errors.ts';
import {
  commonDType,
  shapeMismatch,
  type HostTensor,
  type InputsOf,
  type Op,
  type TensorSpec,
} from '../op.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { trafficBytes } from './cost.ts';
import {
  checkLayout,
  checkPerAxis,
  perAxis,
  type PerAxis,
  type SpatialLayout,
} from './per-axis.ts';
import { triple, volumeWalk } from './volume-walk.ts';

/** Attributes of `conv2d` and `conv3d`; arrays hold one number for each spatial axis. */
export interface ConvAttrs {
  readonly stride: readonly number[];
  /** Zeros added on both sides of an axis. */
  readonly padding: readonly number[];
  /** Distance of neighbouring taps. */
  readonly dilation: readonly number[];
  /** Channels are split into this many independent convolutions. */
  readonly groups: number;
  /** Layout of x and of the result; the weight's layout is fixed. */
  readonly layout: SpatialLayout;
}

/** Options of `conv2d` and `conv3d`. */
export interface ConvOptions {
  /** Default 1. */
  readonly stride?: PerAxis;
  /** Default 0. */
  readonly padding?: PerAxis;
  /** Default 1. */
  readonly dilation?: PerAxis;
  /** Default 1. */
  readonly groups?: number;
  /** Default `channelsFirst`. */
  readonly layout?: SpatialLayout;
}

export const CONV_DEFAULTS: Required<ConvOptions> = {
  stride: 1,
  padding: 0,
  dilation: 1,
  groups: 1,
  layout: 'channelsFirst',
};

function checkConvAttrs(op: string, attrs: ConvAttrs, axes: number): void {
  checkPerAxis(op, 'stride', attrs.stride, axes, 1);
  checkPerAxis(op, 'padding', attrs.padding, axes, 0);
  checkPerAxis(op, 'dilation', attrs.dilation, axes, 1);
  checkLayout(op, attrs.layout);
  if (!Number.isInteger(attrs.groups) || attrs.groups < 1) {
    throw new InputError(`${op}: groups must be an integer of at least 1, got ${attrs.groups}.`);
  }
}

function inferConv(
  op: Op<ConvAttrs>,
  axes: number,
  [x, weight, bias]: InputsOf<TensorSpec>,
  attrs: ConvAttrs,
): readonly TensorSpec[] {
  checkConvAttrs(op.name, attrs, axes);
  const { stride, padding, dilation, groups, layout } = attrs;
  const dtype = commonDType(op, [x, weight, bias]);
  const first = layout === 'channelsFirst';
  const channels = x!.shape[first ? 1 : axes + 1]!;
  const extents = first ? x!.shape.slice(2) : x!.shape.slice(1, -1);
  const [units, groupChannels, ...kernel] = weight!.shape as [number, number, ...number[]];
  if (units % groups !== 0 || channels % groups !== 0) {
    throw new InputError(
      `${op.name}: groups must divide the ${channels} channels of x and the ${units} of weight, got ${groups}.`,
    );
  }
  if (groupChannels !== channels / groups || kernel.includes(0)) {
    const expected = `[Cout, ${channels / groups}, ...kernel] (${channels} channels of x in ${groups} groups)`;
    throw shapeMismatch(op.name, 'weight', expected, weight!.shape);
  }
  if (bias !== undefined && bias.shape[0] !== units) {
    throw shapeMismatch(op.name, 'bias', `[${units}] (first axis of weight)`, bias.shape);
  }
  const spatial = extents.map((extent, i) => {
    const reach = dilation[i]! * (kernel[i]! - 1) + 1;
    const room = extent + 2 * padding[i]! - reach;
    if (room < 0) {
      const least = `at least ${reach - 2 * padding[i]!} long on spatial axis ${i} (the kernel with its dilation, less padding)`;
      throw shapeMismatch(op.name, 'x', least, x!.shape);
    }
    return Math.floor(room / stride[i]!) + 1;
  });
  const batch = x!.shape[0]!;
  return [{ dtype, shape: first ? [batch, units, ...spatial] : [batch, ...spatial, units] }];
}

function referenceConv(
  [x, weight, bias]: InputsOf<HostTensor>,
  attrs: ConvAttrs,
  [out]: readonly HostTensor[],
): void {
  const { groups, layout } = attrs;
  const from = volumeWalk(x!.shape, layout);
  const to = volumeWalk(out!.shape, layout);
  const [units, channels] = weight!.shape as [number, number];
  const [k0, k1, k2] = triple(weight!.shape.slice(2), 1);
  const [s0, s1, s2] = triple(attrs.stride, 1);
  const [p0, p1, p2] = triple(attrs.padding, 0);
  const [d0, d1, d2] = triple(attrs.dilation, 1);
  const taps = k0 * k1 * k2;
  const [xs, ws] = [x!.data, weight!.data];
  const step = from.channel;
  const inside = (at: number, axis: number): boolean => at >= 0 && at < from.extents[axis]!;
  /** Sum over the taps around one output position of one output channel. */
  const gather = (image: number, unit: number, o0: number, o1: number, o2: number): number => {
    let sum = bias?.data[unit] ?? 0;
    for (let t0 = 0; t0 < k0; t0++) {
      const i0 = o0 * s0 - p0 + t0 * d0;
      if (!inside(i0, 0)) continue;
      for (let t1 = 0; t1 < k1; t1++) {
        const i1 = o1 * s1 - p1 + t1 * d1;
        if (!inside(i1, 1)) continue;
        for (let t2 = 0; t2 < k2; t2++) {
          const i2 = o2 * s2 - p2 + t2 * d2;
          if (!inside(i2, 2)) continue;
          const source = image + i0 * from.strides[0] + i1 * from.strides[1] + i2 * from.strides[2];
          const tap = unit * channels * taps + (t0 * k1 + t1) * k2 + t2;
          for (let c = 0; c < channels; c++) {
            sum += xs[source + c * step]! * ws[tap + c * taps]!;
          }
        }
      }
    }
    return sum;
  };
  for (let b = 0; b < x!.shape[0]!; b++) {
    for (let unit = 0; unit < units; unit++) {
      const group = Math.floor(unit / (units / groups));
      const image = b * from.batch + group * channels * from.channel;
      const target = b * to.batch + unit * to.channel;
      for (let o0 = 0; o0 < to.extents[0]; o0++) {
        for (let o1 = 0; o1 < to.extents[1]; o1++) {
          for (let o2 = 0; o2 < to.extents[2]; o2++) {
            const at = o0 * to.strides[0] + o1 * to.strides[1] + o2 * to.strides[2];
            out!.data[target + at] = gather(image, unit, o0, o1, o2);
          }
        }
      }
    }
  }
}

function convOp(axes: 2 | 3): Op<ConvAttrs> {
  const op: Op<ConvAttrs> = {
    name: `conv${axes}d`,
    family: 'conv',
    inputs: [
      { name: 'x', dtypes: FLOAT_DTYPES, rank: axes + 2 },
      { name: 'weight', dtypes: FLOAT_DTYPES, rank: axes + 2 },
      { name: 'bias', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
    ],
    infer: (inputs, attrs) => inferConv(op, axes, inputs, attrs),
    reference: referenceConv,
    cost: (inputs, _attrs, outputs) => ({
      flops: 2 * sizeOf(inputs[1]!.shape.slice(1)) * sizeOf(outputs[0]!.shape),
      bytes: trafficBytes(inputs, outputs),
    }),
  };
  return op;
}

export const conv2dOp: Op<ConvAttrs> = convOp(2);

export const conv3dOp: Op<ConvAttrs> = convOp(3);

function convAttrs(options: ConvOptions, axes: number): ConvAttrs {
  const merged = { ...CONV_DEFAULTS, ...options };
  return {
    stride: perAxis(merged.stride, axes),
    padding: perAxis(merged.padding, axes),
    dilation: perAxis(merged.dilation, axes),
    groups: merged.groups,
    layout: merged.layout,
  };
}

/**
 * 2-D convolution (cross-correlation, as networks use the word), zero padded. Sums in f32 or better.
 *
 * An output axis has `floor((extent + 2 padding - dilation (kernel - 1) - 1) / stride) + 1` elements.
 *
 * @param x `[B, Cin, H, W]`, or `[B, H, W, Cin]` with `layout: 'channelsLast'`; float.
 * @param weight `[Cout, Cin / groups, kh, kw]` in either layout, the dtype of x.
 * @param bias `[Cout]`, the dtype of x; zeros when absent.
 * @param options `stride` 1, `padding` 0, `dilation` 1 (numbers or one for each axis), `groups` 1,
 *   `layout` `channelsFirst`.
 * @returns `[B, Cout, H', W']` or `[B, H', W', Cout]` of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: ConvOptions = {},
): Tensor {
  return executeOne(conv2dOp, [x, weight, bias], convAttrs(options, 2));
}

/**
 * 3-D convolution; see `conv2d`.
 *
 * @param x `[B, Cin, X, Y, Z]`, or `[B, X, Y, Z, Cin]` with `layout: 'channelsLast'`; float.
 * @param weight `[Cout, Cin / groups, kx, ky, kz]` in either layout, the dtype of x.
 * @param bias `[Cout]`, the dtype of x; zeros when absent.
 * @param options as for `conv2d`.
 * @returns `[B, Cout, X', Y', Z']` or `[B, X', Y', Z', Cout]` of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function conv3d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: ConvOptions = {},
): Tensor {
  return executeOne(conv3dOp, [x, weight, bias], convAttrs(options, 3));
}
