/** Matrix products: batched `matmul` and the fused `linear` layer. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import { commonDType, shapeMismatch, type Op } from '../op.ts';
import { broadcastShapes, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { activationFunction, checkActivation, type Activation } from './activation.ts';
import { applyActivation } from './apply-activation.ts';
import { add } from './arithmetic.ts';
import { operandStrides, walkBroadcast } from './broadcast-walk.ts';
import { trafficBytes } from './cost.ts';
import { narrow, widen } from './widen.ts';

export const matmulOp: Op = {
  name: 'matmul',
  family: 'matmul',
  inputs: [
    { name: 'a', dtypes: FLOAT_DTYPES, rank: [2, 8] },
    { name: 'b', dtypes: FLOAT_DTYPES, rank: [2, 8] },
  ],
  infer([a, b]) {
    const dtype = commonDType(matmulOp, [a, b]);
    const [rows, depth] = a!.shape.slice(-2);
    const [bDepth, columns] = b!.shape.slice(-2);
    if (bDepth !== depth) {
      throw shapeMismatch('matmul', 'b', `[..., ${depth}, N] (last axis of a)`, b!.shape);
    }
    const batch = broadcastShapes('matmul', a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    return [{ dtype, shape: [...batch, rows!, columns!] }];
  },
  reference([a, b], _attrs, [out]) {
    const batch = out!.shape.slice(0, -2);
    const [rows, depth] = a!.shape.slice(-2) as [number, number];
    const columns = out!.shape[out!.shape.length - 1]!;
    const [left, right] = [a!.data, b!.data];
    const sums = new Float64Array(columns);
    const strides = [a!, b!].map((operand) => operandStrides(operand.shape.slice(0, -2), batch));
    walkBroadcast(batch, strides, (index, aMatrix, bMatrix) => {
      for (let m = 0; m < rows; m++) {
        sums.fill(0);
        for (let k = 0; k < depth; k++) {
          const factor = left[(aMatrix * rows + m) * depth + k]!;
          const row = (bMatrix * depth + k) * columns;
          for (let n = 0; n < columns; n++) sums[n]! += factor * right[row + n]!;
        }
        out!.data.set(sums, (index * rows + m) * columns);
      }
    });
  },
  cost(inputs, _attrs, outputs) {
    const depth = inputs[0]!.shape[inputs[0]!.shape.length - 1]!;
    return {
      flops: 2 * depth * sizeOf(outputs[0]!.shape),
      bytes: trafficBytes(inputs, outputs),
    };
  },
};

/**
 * Matrix product over the last two axes; the axes before them broadcast. Sums in f32 or better.
 *
 * A transposed operand is best given as a view, `b.transpose()`: kernels read its strides in place.
 *
 * @param a `[..., M, K]` float.
 * @param b `[..., K, N]`, the dtype of a.
 * @returns `[..., M, N]` of the same dtype.
 * @throws ShapeError, DTypeError.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return executeOne(matmulOp, [a, b], {});
}

/** Attributes of `linear`. */
export interface LinearAttrs {
  /** Applied to the result, before it is rounded to the output dtype. */
  readonly activation: Activation;
}

export const LINEAR_DEFAULTS: LinearAttrs = { activation: 'none' };

export const linearOp: Op<LinearAttrs> = {
  name: 'linear',
  family: 'matmul',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: [1, 8] },
    { name: 'weight', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'bias', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
  ],
  infer([x, weight, bias], { activation }) {
    checkActivation('linear', activation);
    const dtype = commonDType(linearOp, [x, weight, bias]);
    const depth = x!.shape[x!.shape.length - 1]!;
    const [units, weightDepth] = weight!.shape as [number, number];
    if (weightDepth !== depth) {
      throw shapeMismatch('linear', 'weight', `[N, ${depth}] (last axis of x)`, weight!.shape);
    }
    if (bias !== undefined && bias.shape[0] !== units) {
      throw shapeMismatch('linear', 'bias', `[${units}] (first axis of weight)`, bias.shape);
    }
    return [{ dtype, shape: [...x!.shape.slice(0, -1), units] }];
  },
  reference([x, weight, bias], { activation }, [out]) {
    const [units, depth] = weight!.shape as [number, number];
    const rows = out!.data.length / units;
    const [xs, ws] = [x!.data, weight!.data];
    const activate = activationFunction(activation);
    for (let row = 0; row < rows; row++) {
      for (let unit = 0; unit < units; unit++) {
        let sum = bias?.data[unit] ?? 0;
        for (let k = 0; k < depth; k++) {
          sum += xs[row * depth + k]! * ws[unit * depth + k]!;
        }
        out!.data[row * units + unit] = activate(sum);
      }
    }
  },
  decompose([x, weight, bias], { activation }) {
    const rows = x!.rank === 1 ? x!.unsqueeze(0) : x!;
    let result = widen(matmul(rows, weight!.transpose()));
    if (bias !== undefined) result = add(result, widen(bias));
    result = narrow(applyActivation(result, activation), x!.dtype);
    return [x!.rank === 1 ? result.squeeze(0) : result];
  },
  cost(inputs, _attrs, outputs) {
    const depth = inputs[1]!.shape[1]!;
    return {
      flops: (2 * depth + 2) * sizeOf(outputs[0]!.shape),
      bytes: trafficBytes(inputs, outputs),
    };
  },
};

/**
 * Fully connected layer: `activation(x weight^T + bias)`. Sums in f32 or better.
 *
 * @param x `[..., K]` float.
 * @param weight `[N, K]`, the dtype of x.
 * @param bias `[N]`, the dtype of x; zeros when absent.
 * @param options `activation`: `none` (default), `relu`, `silu`, `gelu` (erf form), `geluTanh` or `quickGelu`.
 * @returns `[..., N]` of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: Partial<LinearAttrs> = {},
): Tensor {
  return executeOne(linearOp, [x, weight, bias], { ...LINEAR_DEFAULTS, ...options });
}
