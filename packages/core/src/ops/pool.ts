/** Pooling of images and volumes. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import { InputError, ShapeError } from '../errors.ts';
import { shapeMismatch, type HostTensor, type Op, type TensorSpec } from '../op.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { trafficBytes } from './cost.ts';
import { checkPerAxis, perAxis, type PerAxis } from './per-axis.ts';
import { triple, volumeWalk } from './volume-walk.ts';

/** Attributes of `maxPool` and `avgPool`; arrays hold one number for each spatial axis. */
export interface PoolAttrs {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  /** Positions added on both sides of an axis, at most half of the kernel. */
  readonly padding: readonly number[];
  /** Rounds the number of windows up, so that the last may hang over the end. */
  readonly ceilMode: boolean;
}

/** Options of `maxPool` and `avgPool`. */
export interface PoolOptions {
  readonly kernel: PerAxis;
  /** Default `kernel`. */
  readonly stride?: PerAxis;
  /** Default 0. */
  readonly padding?: PerAxis;
  /** Default false. */
  readonly ceilMode?: boolean;
}

/** `stride` defaults to `kernel`, which has no default. */
export const POOL_DEFAULTS: Required<Pick<PoolOptions, 'padding' | 'ceilMode'>> = {
  padding: 0,
  ceilMode: false,
};

function inferPool(op: string, x: TensorSpec, attrs: PoolAttrs): readonly TensorSpec[] {
  const axes = x.shape.length - 2;
  const { kernel, stride, padding, ceilMode } = attrs;
  checkPerAxis(op, 'kernel', kernel, axes, 1);
  checkPerAxis(op, 'stride', stride, axes, 1);
  checkPerAxis(op, 'padding', padding, axes, 0);
  if (padding.some((amount, i) => amount * 2 > kernel[i]!)) {
    throw new InputError(
      `${op}: padding must be at most half of the kernel ${formatShape(kernel)}, got ${formatShape(padding)}.`,
    );
  }
  const spatial = x.shape.slice(2).map((extent, i) => {
    const room = extent + 2 * padding[i]! - kernel[i]!;
    if (room < 0 || extent === 0) {
      const least = `at least ${Math.max(1, kernel[i]! - 2 * padding[i]!)} long on spatial axis ${i} (kernel less padding)`;
      throw shapeMismatch(op, 'x', least, x.shape);
    }
    const windows = (ceilMode ? Math.ceil : Math.floor)(room / stride[i]!) + 1;
    // A window that would start in the padding after the end is dropped.
    return (windows - 1) * stride[i]! >= extent + padding[i]! ? windows - 1 : windows;
  });
  return [{ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...spatial] }];
}

/** What distinguishes the two poolings: how a window's elements combine. */
interface PoolRule {
  readonly start: number;
  readonly step: (total: number, value: number) => number;
  /** @param area window positions, counting padding but not what lies beyond it. */
  readonly finish: (total: number, area: number) => number;
}

function referencePool(x: HostTensor, attrs: PoolAttrs, out: HostTensor, rule: PoolRule): void {
  const from = volumeWalk(x.shape, 'channelsFirst');
  const to = volumeWalk(out.shape, 'channelsFirst');
  const kernel = triple(attrs.kernel, 1);
  const stride = triple(attrs.stride, 1);
  const padding = triple(attrs.padding, 0);
  const low = [0, 0, 0];
  const high = [0, 0, 0];
  const plane = sizeOf(from.extents);
  const planes = x.shape[0]! * x.shape[1]!;
  let target = 0;
  for (let p = 0; p < planes; p++) {
    for (let window = 0; window < sizeOf(to.extents); window++) {
      let area = 1;
      for (let axis = 0; axis < 3; axis++) {
        const at = Math.floor(window / to.strides[axis]!) % to.extents[axis]!;
        const start = at * stride[axis]! - padding[axis]!;
        const end = Math.min(start + kernel[axis]!, from.extents[axis]! + padding[axis]!);
        area *= end - start;
        low[axis] = Math.max(start, 0);
        high[axis] = Math.min(end, from.extents[axis]!);
      }
      let total = rule.start;
      for (let i = low[0]!; i < high[0]!; i++) {
        for (let j = low[1]!; j < high[1]!; j++) {
          const row = p * plane + i * from.strides[0] + j * from.strides[1];
          for (let k = low[2]!; k < high[2]!; k++) total = rule.step(total, x.data[row + k]!);
        }
      }
      out.data[target++] = rule.finish(total, area);
    }
  }
}

function poolOp(name: string, rule: PoolRule): Op<PoolAttrs> {
  return {
    name,
    family: 'pool',
    inputs: [{ name: 'x', dtypes: FLOAT_DTYPES, rank: [4, 5] }],
    infer: ([x], attrs) => inferPool(name, x!, attrs),
    reference: ([x], attrs, [out]) => referencePool(x!, attrs, out!, rule),
    cost: (inputs, { kernel }, outputs) => ({
      flops: sizeOf(kernel) * sizeOf(outputs[0]!.shape),
      bytes: trafficBytes(inputs, outputs),
    }),
  };
}

export const maxPoolOp: Op<PoolAttrs> = poolOp('maxPool', {
  start: -Infinity,
  step: Math.max,
  finish: (total) => total,
});

export const avgPoolOp: Op<PoolAttrs> = poolOp('avgPool', {
  start: 0,
  step: (total, value) => total + value,
  finish: (total, area) => total / area,
});

function executePool(op: Op<PoolAttrs>, x: Tensor, options: PoolOptions): Tensor {
  const axes = x.rank - 2;
  if (axes !== 2 && axes !== 3) {
    throw new ShapeError(`${op.name}: x must have rank 4 to 5, got ${formatShape(x.shape)}.`);
  }
  const merged = { ...POOL_DEFAULTS, ...options };
  return executeOne(op, [x], {
    kernel: perAxis(merged.kernel, axes),
    stride: perAxis(merged.stride ?? merged.kernel, axes),
    padding: perAxis(merged.padding, axes),
    ceilMode: merged.ceilMode,
  });
}

/**
 * Largest element of each window; NaN when the window holds one. Padding never wins.
 *
 * An output axis has `floor((extent + 2 padding - kernel) / stride) + 1` elements, or the ceiling with `ceilMode` less a
 * window that would start beyond the end.
 *
 * @param x `[B, C, H, W]` or `[B, C, X, Y, Z]` float.
 * @param options `kernel`; `stride`, default `kernel`; `padding`, default 0; each a number or one for each axis;
 *   `ceilMode`, default false.
 * @returns the pooled x, of its dtype.
 * @throws ShapeError, DTypeError, InputError.
 */
export function maxPool(x: Tensor, options: PoolOptions): Tensor {
  return executePool(maxPoolOp, x, options);
}

/**
 * Mean of each window. Padding counts as zeros; what hangs over the padding (`ceilMode`) does not count. Sums in f32
 * or better.
 *
 * @param x `[B, C, H, W]` or `[B, C, X, Y, Z]` float.
 * @param options as for `maxPool`.
 * @returns the pooled x, of its dtype; extents as for `maxPool`.
 * @throws ShapeError, DTypeError, InputError.
 */
export function avgPool(x: Tensor, options: PoolOptions): Tensor {
  return executePool(avgPoolOp, x, options);
}
