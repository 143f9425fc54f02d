/** Elementwise coordinate ops: shifting and quantising, subdividing, and the outputs of a strided convolution. */
import { executeOne, type Op, type Tensor } from '@pergola/core';
import { checkKernel, type NeighborMapAttrs } from './neighbors.ts';
import { checkCoords, checkInteger, checkTriple, triple, type Triple } from './checks.ts';
import {
  convOutputCoordsKernel,
  subdivideCoordsKernel,
  transformCoordsKernel,
} from '../cpu/coords.ts';

// Keeps sums with coordinates, which are small, far from the ends of i32.
const MAX_SHIFT = 2 ** 24;

/** Attributes of `transformCoords`. */
export interface TransformCoordsAttrs {
  /** Added to the batch column. */
  readonly batchShift: number;
  /** Added to x, y, z before the division. */
  readonly shift: Triple;
  /** Floor divisor of x, y, z. */
  readonly divisor: Triple;
}

export const transformCoordsOp: Op<TransformCoordsAttrs> = {
  name: 'transformCoords',
  family: 'coords',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords], { batchShift, shift, divisor }) {
    checkCoords('transformCoords', 'coords', coords!.shape);
    checkInteger('transformCoords', 'batchShift', batchShift, -MAX_SHIFT, MAX_SHIFT);
    checkTriple('transformCoords', 'shift', shift, -MAX_SHIFT, MAX_SHIFT);
    checkTriple('transformCoords', 'divisor', divisor, 1);
    return [{ dtype: 'i32', shape: coords!.shape }];
  },
  reference([coords], { batchShift, shift, divisor }, [out]) {
    for (let at = 0; at < coords!.data.length; at += 4) {
      out!.data[at] = coords!.data[at]! + batchShift;
      for (let axis = 0; axis < 3; axis++) {
        const value = coords!.data[at + 1 + axis]! + shift[axis]!;
        out!.data[at + 1 + axis] = Math.floor(value / divisor[axis]!);
      }
    }
  },
  kernels: { cpu: transformCoordsKernel },
};

/**
 * `(batch + batchShift, floor((xyz + shift) / divisor))` of every row.
 *
 * @param coords i32 `[N, 4]`.
 * @throws ShapeError, DTypeError, InputError.
 */
export function transformCoords(
  coords: Tensor,
  options: {
    readonly batchShift?: number;
    readonly shift?: number | Triple;
    readonly divisor?: number | Triple;
  },
): Tensor {
  return executeOne(transformCoordsOp, [coords], {
    batchShift: options.batchShift ?? 0,
    shift: triple(options.shift ?? 0),
    divisor: triple(options.divisor ?? 1),
  });
}

export const subdivideCoordsOp: Op = {
  name: 'subdivideCoords',
  family: 'coords',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords]) {
    checkCoords('subdivideCoords', 'coords', coords!.shape);
    return [{ dtype: 'i32', shape: [coords!.shape[0]! * 8, 4] }];
  },
  reference([coords], _attrs, [out]) {
    for (let row = 0; row < out!.shape[0]!; row++) {
      const parent = (row >> 3) * 4;
      out!.data[row * 4] = coords!.data[parent]!;
      out!.data[row * 4 + 1] = 2 * coords!.data[parent + 1]! + ((row >> 2) & 1);
      out!.data[row * 4 + 2] = 2 * coords!.data[parent + 2]! + ((row >> 1) & 1);
      out!.data[row * 4 + 3] = 2 * coords!.data[parent + 3]! + (row & 1);
    }
  },
  kernels: { cpu: subdivideCoordsKernel },
};

/**
 * The eight children of every voxel on the grid of twice the resolution, parent by parent.
 *
 * Child c of `(b, x, y, z)` is `(b, 2x + (c >> 2 & 1), 2y + (c >> 1 & 1), 2z + (c & 1))`.
 *
 * @param coords i32 `[N, 4]`.
 * @returns i32 `[8 N, 4]`.
 * @throws ShapeError, DTypeError.
 */
export function subdivideCoords(coords: Tensor): Tensor {
  return executeOne(subdivideCoordsOp, [coords], {});
}

/** Attributes of `convOutputCoords`. */
export interface ConvOutputCoordsAttrs extends NeighborMapAttrs {
  /** Extent of the output grid, which starts at 0; null: no limit in either direction. */
  readonly outputShape: Triple | null;
}

/** Batch of a row that holds no output. It sorts behind every real one. */
export const NO_BATCH = 2147483647;

/** Outputs that one input can reach along one axis. */
export function reachPerAxis({ kernelSize, stride, dilation }: NeighborMapAttrs): number {
  return Math.floor(((kernelSize - 1) * dilation) / stride) + 1;
}

export const convOutputCoordsOp: Op<ConvOutputCoordsAttrs> = {
  name: 'convOutputCoords',
  family: 'coords',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords], attrs) {
    checkCoords('convOutputCoords', 'coords', coords!.shape);
    checkKernel('convOutputCoords', attrs);
    if (attrs.outputShape !== null) {
      checkTriple('convOutputCoords', 'outputShape', attrs.outputShape, 0);
    }
    return [{ dtype: 'i32', shape: [coords!.shape[0]! * reachPerAxis(attrs) ** 3, 4] }];
  },
  reference([coords], attrs, [out]) {
    const { kernelSize, stride, padding, dilation, outputShape } = attrs;
    const reach = reachPerAxis(attrs);
    let at = 0;
    // Candidate j along an axis: the j-th output at or below the input; NaN when no tap connects the two.
    const candidate = (axis: number, input: number, j: number): number => {
      const output = Math.floor((input + padding) / stride) - j;
      const tap = (input + padding - output * stride) / dilation;
      if (!Number.isInteger(tap) || tap >= kernelSize) return NaN;
      if (outputShape !== null && (output < 0 || output >= outputShape[axis]!)) return NaN;
      return output;
    };
    for (let row = 0; row < coords!.shape[0]!; row++) {
      const [batch, x, y, z] = coords!.data.subarray(row * 4, row * 4 + 4);
      for (let i = 0; i < reach; i++) {
        for (let j = 0; j < reach; j++) {
          for (let k = 0; k < reach; k++, at += 4) {
            const to = [candidate(0, x!, i), candidate(1, y!, j), candidate(2, z!, k)];
            const none = to.some(Number.isNaN);
            out!.data.set(none ? [NO_BATCH, 0, 0, 0] : [batch!, ...to], at);
          }
        }
      }
    }
  },
  kernels: { cpu: convOutputCoordsKernel },
};

/**
 * Every output coordinate that a convolution's taps reach from every input, with repetitions; places without one hold
 * `(NO_BATCH, 0, 0, 0)`.
 *
 * @param coords i32 `[N, 4]`.
 * @returns i32 `[N * m^3, 4]`, `m = floor((K - 1) * dilation / stride) + 1`.
 * @throws ShapeError, DTypeError, InputError.
 */
export function convOutputCoords(coords: Tensor, attrs: ConvOutputCoordsAttrs): Tensor {
  return executeOne(convOutputCoordsOp, [coords], attrs);
}

export const inversePermutationOp: Op = {
  name: 'inversePermutation',
  family: 'coords',
  inputs: [{ name: 'order', dtypes: ['i32'], rank: 1 }],
  infer: ([order]) => [{ dtype: 'i32', shape: order!.shape }],
  reference([order], _attrs, [out]) {
    for (let i = 0; i < order!.data.length; i++) out!.data[order!.data[i]!] = i;
  },
};

/**
 * The inverse of a permutation: `out[order[i]] = i`.
 *
 * @param order i32 `[N]`, each of 0 to N - 1 once.
 * @throws ShapeError, DTypeError.
 */
export function inversePermutation(order: Tensor): Tensor {
  return executeOne(inversePermutationOp, [order], {});
}
