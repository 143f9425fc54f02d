/** The fused normalisations and residuals of diffusion transformers, over packed rows. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import { commonDType, shapeMismatch, type HostTensor, type Op, type TensorSpec } from '../op.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { activationFunction, checkActivation, type Activation } from './activation.ts';
import { applyActivation } from './apply-activation.ts';
import { add, div, maximum, mul } from './arithmetic.ts';
import { perInputElement } from './cost.ts';
import { gather } from './gather.ts';
import { checkEps, layerNorm } from './norm.ts';
import { elementOfRow } from './packed-rows.ts';
import { sum } from './reduce.ts';
import { sqrt, square } from './unary.ts';
import { narrow, widen } from './widen.ts';

/** Requires `[B, C]` for each of the named tensors, given x `[N, C]` and offsets `[B + 1]`. */
function checkPerBatch(
  op: string,
  x: TensorSpec,
  offsets: TensorSpec,
  tensors: Readonly<Record<string, TensorSpec>>,
): void {
  if (offsets.shape[0]! < 1) throw shapeMismatch(op, 'offsets', '[B + 1]', offsets.shape);
  const [batch, channels] = [offsets.shape[0]! - 1, x.shape[1]!];
  for (const [name, { shape }] of Object.entries(tensors)) {
    if (shape[0] !== batch || shape[1] !== channels) {
      const expected = `[${batch}, ${channels}] (offsets hold ${batch} batch elements, x ${channels} channels)`;
      throw shapeMismatch(op, name, expected, shape);
    }
  }
}

/** Calls `visit(row, batch element)` for every packed row. */
function forEachRow(offsets: HostTensor, visit: (row: number, element: number) => void): void {
  for (let element = 0; element + 1 < offsets.data.length; element++) {
    for (let row = offsets.data[element]!; row < offsets.data[element + 1]!; row++) {
      visit(row, element);
    }
  }
}

/** Attributes of `layerNormModulate`. */
export interface LayerNormModulateAttrs {
  /** Added to the variance. */
  readonly eps: number;
  /** Applied last. */
  readonly activation: Extract<Activation, 'none' | 'silu'>;
}

export const LAYER_NORM_MODULATE_DEFAULTS: LayerNormModulateAttrs = {
  eps: 1e-6,
  activation: 'none',
};

export const layerNormModulateOp: Op<LayerNormModulateAttrs> = {
  name: 'layerNormModulate',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'shift', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'scale', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'offsets', dtypes: ['i32'], rank: 1 },
  ],
  infer([x, shift, scale, offsets], { eps, activation }) {
    checkEps('layerNormModulate', eps);
    checkActivation('layerNormModulate', activation, ['none', 'silu']);
    const dtype = commonDType(layerNormModulateOp, [x, shift, scale], 0, 1, 2);
    checkPerBatch('layerNormModulate', x!, offsets!, { shift: shift!, scale: scale! });
    return [{ dtype, shape: x!.shape }];
  },
  reference([x, shift, scale, offsets], { eps, activation }, [out]) {
    const channels = x!.shape[1]!;
    const activate = activationFunction(activation);
    out!.data.fill(0);
    forEachRow(offsets!, (row, element) => {
      const start = row * channels;
      const affine = element * channels;
      let mean = 0;
      for (let c = 0; c < channels; c++) mean += x!.data[start + c]!;
      mean /= channels;
      let variance = 0;
      for (let c = 0; c < channels; c++) variance += (x!.data[start + c]! - mean) ** 2;
      const inverse = 1 / Math.sqrt(variance / channels + eps);
      for (let c = 0; c < channels; c++) {
        const normal = (x!.data[start + c]! - mean) * inverse;
        out!.data[start + c] = activate(
          normal * (1 + scale!.data[affine + c]!) + shift!.data[affine + c]!,
        );
      }
    });
  },
  decompose([x, shift, scale, offsets], { eps, activation }) {
    const normal = layerNorm(widen(x!), undefined, undefined, { eps });
    const element = elementOfRow(offsets!, x!.shape[0]!);
    const factor = add(gather(widen(scale!), element), 1);
    const modulated = add(mul(normal, factor), gather(widen(shift!), element));
    return [narrow(applyActivation(modulated, activation), x!.dtype)];
  },
  cost: perInputElement(10),
};

/**
 * Adaptive layer normalisation of packed rows: `activation(norm(x) * (1 + scale[b]) + shift[b])`, where `b` is the batch
 * element of the row and `norm` is a layer norm over C without parameters.
 *
 * Statistics and arithmetic are f32 or better; the result is rounded once.
 *
 * @param x `[N, C]` float.
 * @param shift `[B, C]`, the dtype of x.
 * @param scale `[B, C]`, the dtype of x.
 * @param offsets i32 `[B + 1]`, ascending from 0 to N: rows `offsets[b]` to `offsets[b + 1]` belong to element `b`.
 * @param options `eps`, default 1e-6; `activation`, `none` (default) or `silu`.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 * @see Peebles and Xie, Scalable Diffusion Models with Transformers, arXiv 2212.09748
 */
export function layerNormModulate(
  x: Tensor,
  shift: Tensor,
  scale: Tensor,
  offsets: Tensor,
  options: Partial<LayerNormModulateAttrs> = {},
): Tensor {
  return executeOne(layerNormModulateOp, [x, shift, scale, offsets], {
    ...LAYER_NORM_MODULATE_DEFAULTS,
    ...options,
  });
}

export const gatedResidualOp: Op = {
  name: 'gatedResidual',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'h', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'gate', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'offsets', dtypes: ['i32'], rank: 1 },
  ],
  infer([x, h, gate, offsets]) {
    const dtype = commonDType(gatedResidualOp, [x, h, gate], 0, 1, 2);
    if (h!.shape[0] !== x!.shape[0] || h!.shape[1] !== x!.shape[1]) {
      throw shapeMismatch('gatedResidual', 'h', `${formatShape(x!.shape)} (shape of x)`, h!.shape);
    }
    checkPerBatch('gatedResidual', x!, offsets!, { gate: gate! });
    return [{ dtype, shape: x!.shape }];
  },
  reference([x, h, gate, offsets], _attrs, [out]) {
    const channels = x!.shape[1]!;
    out!.data.set(x!.data);
    forEachRow(offsets!, (row, element) => {
      for (let c = 0; c < channels; c++) {
        const at = row * channels + c;
        out!.data[at] = x!.data[at]! + h!.data[at]! * gate!.data[element * channels + c]!;
      }
    });
  },
  decompose([x, h, gate, offsets]) {
    const factor = gather(widen(gate!), elementOfRow(offsets!, x!.shape[0]!));
    return [narrow(add(widen(x!), mul(widen(h!), factor)), x!.dtype)];
  },
  cost: perInputElement(2),
};

/**
 * Gated residual sum of packed rows: `x + h * gate[b]`, where `b` is the batch element of the row.
 *
 * Computed in f32 or better and rounded once.
 *
 * @param x `[N, C]` float.
 * @param h `[N, C]`, the dtype of x.
 * @param gate `[B, C]`, the dtype of x.
 * @param offsets i32 `[B + 1]`, ascending from 0 to N: rows `offsets[b]` to `offsets[b + 1]` belong to element `b`.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError.
 * @see Peebles and Xie, Scalable Diffusion Models with Transformers, arXiv 2212.09748
 */
export function gatedResidual(x: Tensor, h: Tensor, gate: Tensor, offsets: Tensor): Tensor {
  return executeOne(gatedResidualOp, [x, h, gate, offsets], {});
}

/** Norms below this are raised to it, so that a zero vector stays zero. */
export const QK_NORM_FLOOR = 1e-12;

export const qkNormOp: Op = {
  name: 'qkNorm',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: 3 },
    { name: 'gamma', dtypes: ['f32'], rank: 2 },
  ],
  infer([x, gamma]) {
    const [, heads, depth] = x!.shape as [number, number, number];
    if (gamma!.shape[0] !== heads || gamma!.shape[1] !== depth) {
      throw shapeMismatch('qkNorm', 'gamma', `[${heads}, ${depth}] (heads of x)`, gamma!.shape);
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x, gamma], _attrs, [out]) {
    const [rows, heads, depth] = x!.shape as [number, number, number];
    for (let vector = 0; vector < rows * heads; vector++) {
      const start = vector * depth;
      const weight = (vector % heads) * depth;
      let squares = 0;
      for (let d = 0; d < depth; d++) squares += x!.data[start + d]! ** 2;
      const scale = Math.sqrt(depth) / Math.max(Math.sqrt(squares), QK_NORM_FLOOR);
      for (let d = 0; d < depth; d++) {
        out!.data[start + d] = x!.data[start + d]! * scale * gamma!.data[weight + d]!;
      }
    }
  },
  decompose([x, gamma]) {
    const wide = widen(x!);
    const norm = sqrt(sum(square(wide), { axes: [2], keepDims: true }));
    const factor = div(Math.sqrt(x!.shape[2]!), maximum(norm, QK_NORM_FLOOR));
    return [narrow(mul(mul(wide, factor), gamma!), x!.dtype)];
  },
  cost: perInputElement(4),
};

/**
 * Normalisation of queries or keys by head: `x / max(|x|, 1e-12) * gamma[h] * sqrt(D)` with the Euclidean norm over D.
 *
 * Computed in f32 or better and rounded once. x may be a strided view (for example of a fused `[N, 3, H, D]` projection).
 *
 * @param x `[N, H, D]` float.
 * @param gamma `[H, D]` f32.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError.
 */
export function qkNorm(x: Tensor, gamma: Tensor): Tensor {
  return executeOne(qkNormOp, [x, gamma], {});
}
