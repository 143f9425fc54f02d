/** Normalisation of features: layer, root-mean-square and group norm. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import { DTypeError, InputError } from '../errors.ts';
import { shapeMismatch, type Op, type TensorSpec } from '../op.ts';
import { sizeOf, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, mul, sub } from './arithmetic.ts';
import { perInputElement } from './cost.ts';
import { mean } from './reduce.ts';
import { rsqrt, square } from './unary.ts';
import { narrow, widen } from './widen.ts';

/** Attributes of `layerNorm`. */
export interface LayerNormAttrs {
  /** Added to the variance. */
  readonly eps: number;
}

export const LAYER_NORM_DEFAULTS: LayerNormAttrs = { eps: 1e-5 };

/** @throws InputError unless `eps` is a positive finite number. */
export function checkEps(op: string, eps: number): void {
  if (!(eps > 0 && Number.isFinite(eps))) {
    throw new InputError(`${op}: eps must be a positive finite number, got ${eps}.`);
  }
}

/**
 * Checks an affine parameter: one number for each channel, f32 or the dtype of x.
 *
 * @param axis words for the channel axis of x.
 * @throws ShapeError, DTypeError.
 */
function checkAffine(
  op: string,
  name: string,
  affine: TensorSpec | undefined,
  x: TensorSpec,
  channels: number,
  axis: string,
): void {
  if (affine === undefined) return;
  if (affine.shape[0] !== channels) {
    throw shapeMismatch(op, name, `[${channels}] (${axis} of x)`, affine.shape);
  }
  if (affine.dtype !== 'f32' && affine.dtype !== x.dtype) {
    throw new DTypeError(`${op}: ${name} must be f32 or ${x.dtype}, got ${affine.dtype}.`);
  }
}

/** `x` (f32) centred and divided by its standard deviation over `axes`. */
function standardise(x: Tensor, axes: readonly number[], eps: number): Tensor {
  const over = { axes, keepDims: true };
  const centred = sub(x, mean(x, over));
  return mul(centred, rsqrt(add(mean(square(centred), over), eps)));
}

/** `x * weight + bias` in f32, each parameter reshaped to broadcast against x. */
function scaleAndShift(
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  shape: Shape,
): Tensor {
  const scaled = weight === undefined ? x : mul(x, widen(weight).reshape(...shape));
  return bias === undefined ? scaled : add(scaled, widen(bias).reshape(...shape));
}

export const layerNormOp: Op<LayerNormAttrs> = {
  name: 'layerNorm',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: [1, 8] },
    { name: 'weight', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
    { name: 'bias', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
  ],
  infer([x, weight, bias], { eps }) {
    checkEps('layerNorm', eps);
    const channels = x!.shape[x!.shape.length - 1]!;
    checkAffine('layerNorm', 'weight', weight, x!, channels, 'last axis');
    checkAffine('layerNorm', 'bias', bias, x!, channels, 'last axis');
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x, weight, bias], { eps }, [out]) {
    const channels = x!.shape[x!.shape.length - 1]!;
    const rows = channels === 0 ? 0 : sizeOf(x!.shape) / channels;
    for (let row = 0; row < rows; row++) {
      const start = row * channels;
      let mean = 0;
      for (let c = 0; c < channels; c++) mean += x!.data[start + c]!;
      mean /= channels;
      let variance = 0;
      for (let c = 0; c < channels; c++) variance += (x!.data[start + c]! - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / channels + eps);
      for (let c = 0; c < channels; c++) {
        const normal = (x!.data[start + c]! - mean) * scale;
        out!.data[start + c] = normal * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0);
      }
    }
  },
  decompose([x, weight, bias], { eps }) {
    const normal = standardise(widen(x!), [x!.rank - 1], eps);
    return [narrow(scaleAndShift(normal, weight, bias, [-1]), x!.dtype)];
  },
  cost: perInputElement(8),
};

/**
 * Layer normalisation over the last axis: `(x - mean) / sqrt(var + eps) * weight + bias`, biased variance.
 *
 * Statistics are f32 or better whatever the dtype.
 *
 * @param x `[..., C]` float.
 * @param weight `[C]`, f32 or the dtype of x; ones when absent.
 * @param bias `[C]`, likewise; zeros when absent.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 * @see Ba et al., Layer Normalization, arXiv 1607.06450
 */
export function layerNorm(
  x: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  options: Partial<LayerNormAttrs> = {},
): Tensor {
  return executeOne(layerNormOp, [x, weight, bias], { ...LAYER_NORM_DEFAULTS, ...options });
}

/** Attributes of `rmsNorm`. */
export interface RmsNormAttrs {
  /** Added to the mean square. */
  readonly eps: number;
}

export const RMS_NORM_DEFAULTS: RmsNormAttrs = { eps: 1e-6 };

export const rmsNormOp: Op<RmsNormAttrs> = {
  name: 'rmsNorm',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: [1, 8] },
    { name: 'weight', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
  ],
  infer([x, weight], { eps }) {
    checkEps('rmsNorm', eps);
    const channels = x!.shape[x!.shape.length - 1]!;
    checkAffine('rmsNorm', 'weight', weight, x!, channels, 'last axis');
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x, weight], { eps }, [out]) {
    const channels = x!.shape[x!.shape.length - 1]!;
    for (let start = 0; start < x!.data.length; start += channels) {
      let squares = 0;
      for (let c = 0; c < channels; c++) squares += x!.data[start + c]! ** 2;
      const scale = 1 / Math.sqrt(squares / channels + eps);
      for (let c = 0; c < channels; c++) {
        out!.data[start + c] = x!.data[start + c]! * scale * (weight?.data[c] ?? 1);
      }
    }
  },
  decompose([x, weight], { eps }) {
    const wide = widen(x!);
    const squares = mean(square(wide), { axes: [x!.rank - 1], keepDims: true });
    const normal = mul(wide, rsqrt(add(squares, eps)));
    return [narrow(scaleAndShift(normal, weight, undefined, [-1]), x!.dtype)];
  },
  cost: perInputElement(4),
};

/**
 * Root-mean-square normalisation over the last axis: `x / sqrt(mean(x^2) + eps) * weight`.
 *
 * Statistics are f32 or better whatever the dtype.
 *
 * @param x `[..., C]` float.
 * @param weight `[C]`, f32 or the dtype of x; ones when absent.
 * @param options `eps`, default 1e-6.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 * @see Zhang and Sennrich, Root Mean Square Layer Normalization, arXiv 1910.07467
 */
export function rmsNorm(x: Tensor, weight?: Tensor, options: Partial<RmsNormAttrs> = {}): Tensor {
  return executeOne(rmsNormOp, [x, weight], { ...RMS_NORM_DEFAULTS, ...options });
}

/** Attributes of `groupNorm`. */
export interface GroupNormAttrs {
  /** Number of channel groups; each is normalised over its channels and all positions. */
  readonly groups: number;
  /** Added to the variance. */
  readonly eps: number;
}

/** `groups` has no default. */
export const GROUP_NORM_DEFAULTS: Pick<GroupNormAttrs, 'eps'> = { eps: 1e-5 };

export const groupNormOp: Op<GroupNormAttrs> = {
  name: 'groupNorm',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: [2, 8] },
    { name: 'weight', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
    { name: 'bias', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
  ],
  infer([x, weight, bias], { groups, eps }) {
    checkEps('groupNorm', eps);
    const channels = x!.shape[1]!;
    if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
      throw new InputError(
        `groupNorm: groups must be a divisor of the ${channels} channels of x, got ${groups}.`,
      );
    }
    checkAffine('groupNorm', 'weight', weight, x!, channels, 'axis 1');
    checkAffine('groupNorm', 'bias', bias, x!, channels, 'axis 1');
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x, weight, bias], { groups, eps }, [out]) {
    const [batch, channels] = x!.shape as [number, number];
    const positions = sizeOf(x!.shape.slice(2));
    const groupChannels = channels / groups;
    const count = groupChannels * positions;
    for (let g = 0; g < batch * groups; g++) {
      const start = g * count;
      let mean = 0;
      for (let i = 0; i < count; i++) mean += x!.data[start + i]!;
      mean /= count;
      let variance = 0;
      for (let i = 0; i < count; i++) variance += (x!.data[start + i]! - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / count + eps);
      for (let i = 0; i < count; i++) {
        const channel = (g % groups) * groupChannels + Math.floor(i / positions);
        const normal = (x!.data[start + i]! - mean) * scale;
        out!.data[start + i] = normal * (weight?.data[channel] ?? 1) + (bias?.data[channel] ?? 0);
      }
    }
  },
  decompose([x, weight, bias], { groups, eps }) {
    const [batch, channels, ...extents] = x!.shape as [number, number, ...number[]];
    const width = (channels / groups) * sizeOf(extents);
    const grouped = widen(x!).reshape(batch, groups, width);
    const normal = standardise(grouped, [2], eps).reshape(...x!.shape);
    const shape = [channels, ...extents.map(() => 1)];
    return [narrow(scaleAndShift(normal, weight, bias, shape), x!.dtype)];
  },
  cost: perInputElement(8),
};

/**
 * Group normalisation: each group of neighbouring channels of each batch element is normalised over its channels and
 * all positions, then scaled and shifted by channel. Biased variance.
 *
 * Statistics are f32 or better whatever the dtype.
 *
 * @param x `[B, C, ...]` float.
 * @param weight `[C]`, f32 or the dtype of x; ones when absent.
 * @param bias `[C]`, likewise; zeros when absent.
 * @param options `groups`, a divisor of C; `eps`, default 1e-5.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 * @see Wu and He, Group Normalization, arXiv 1803.08494
 */
export function groupNorm(
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  options: Pick<GroupNormAttrs, 'groups'> & Partial<GroupNormAttrs>,
): Tensor {
  return executeOne(groupNormOp, [x, weight, bias], { ...GROUP_NORM_DEFAULTS, ...options });
}
