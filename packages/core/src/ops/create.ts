/** Tensors from nothing: constants and ranges. */
import type { Device } from '../device.ts';
import { allocateStorage, DTYPES, encodeStorage, isFloat, type DType } from '../dtype.ts';
import { DTypeError, InputError } from '../errors.ts';
import type { Op } from '../op.ts';
import { checkShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { integerRange } from './cast.ts';

/** Attributes of `full`. */
export interface FullAttrs {
  readonly shape: Shape;
  readonly value: number;
  readonly dtype: DType;
}

/** @throws InputError when an integer dtype cannot hold `value`. */
export function checkStorable(op: string, value: number, dtype: DType): void {
  if (isFloat(dtype)) return;
  if (dtype === 'bool') {
    if (value === 0 || value === 1) return;
    throw new InputError(`${op}: value must be 0 or 1 for bool, got ${value}.`);
  }
  const [low, high] = integerRange(dtype as 'i32' | 'u32' | 'u8');
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new InputError(
    `${op}: value must be an integer from ${low} to ${high} for ${dtype}, got ${value}.`,
  );
}

/** The only op without inputs: run it with `device.execute(fullOp, [], { shape, value, dtype })`. */
export const fullOp: Op<FullAttrs> = {
  name: 'full',
  family: 'create',
  inputs: [],
  infer(_inputs, { shape, value, dtype }) {
    checkShape('full', shape);
    if (!DTYPES.includes(dtype)) {
      throw new DTypeError(`full: dtype must be one of ${DTYPES.join(', ')}, got ${dtype}.`);
    }
    checkStorable('full', value, dtype);
    return [{ dtype, shape }];
  },
  reference(_inputs, { value }, [out]) {
    out!.data.fill(value);
  },
};

/**
 * A tensor with every element equal to `value`.
 *
 * @param value any number for float dtypes, 0 or 1 for bool, an integer in range otherwise.
 * @param dtype default `f32`.
 * @throws ShapeError, DTypeError, InputError.
 */
export function full(device: Device, shape: Shape, value: number, dtype: DType = 'f32'): Tensor {
  return device.execute(fullOp, [], { shape, value, dtype })[0]!;
}

/**
 * A tensor of zeros (false for bool).
 *
 * @param dtype default `f32`.
 * @throws ShapeError, DTypeError.
 */
export function zeros(device: Device, shape: Shape, dtype: DType = 'f32'): Tensor {
  return full(device, shape, 0, dtype);
}

/**
 * A tensor of ones (true for bool).
 *
 * @param dtype default `f32`.
 * @throws ShapeError, DTypeError.
 */
export function ones(device: Device, shape: Shape, dtype: DType = 'f32'): Tensor {
  return full(device, shape, 1, dtype);
}

/** Options of `arange`. */
export interface ArangeOptions {
  /** First value; default 0. */
  readonly start?: number;
  /** Difference of neighbours; default 1. */
  readonly step?: number;
  /** Default `i32`; any dtype but bool. */
  readonly dtype?: DType;
}

export const ARANGE_DEFAULTS: Required<ArangeOptions> = { start: 0, step: 1, dtype: 'i32' };

/**
 * `start, start + step, ...`: `count` values, each computed as `start + i * step` and rounded once.
 *
 * @returns `[count]` of the dtype.
 * @throws InputError when `count` is not an integer of at least 0 or an end of the range does not fit an integer dtype;
 *   DTypeError for bool.
 */
export function arange(device: Device, count: number, options: ArangeOptions = {}): Tensor {
  const { start, step, dtype } = { ...ARANGE_DEFAULTS, ...options };
  if (!Number.isInteger(count) || count < 0) {
    throw new InputError(`arange: count must be an integer of at least 0, got ${count}.`);
  }
  if (dtype === 'bool') throw new DTypeError('arange: dtype must be numeric, got bool.');
  if (!isFloat(dtype) && count > 0) {
    if (!Number.isInteger(step)) {
      throw new InputError(`arange: step must be an integer for ${dtype}, got ${step}.`);
    }
    checkStorable('arange', start, dtype);
    checkStorable('arange', start + (count - 1) * step, dtype);
  }
  const values = isFloat(dtype) ? new Float32Array(count) : allocateStorage(dtype, count);
  for (let i = 0; i < count; i++) values[i] = start + i * step;
  const storage = values instanceof Float32Array ? encodeStorage(dtype, values) : values;
  return device.tensor(storage, [count], dtype);
}
