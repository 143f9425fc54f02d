/** Changing the resolution of images and volumes. */
import { executeOne } from '../device.ts';
import { DTYPES, FLOAT_DTYPES } from '../dtype.ts';
import { InputError } from '../errors.ts';
import { shapeMismatch, type Op } from '../op.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { bicubicTaps, tapsMatrix } from './bicubic-taps.ts';
import { trafficBytes } from './cost.ts';
import { matmul } from './matmul.ts';
import { checkLayout, type SpatialLayout } from './per-axis.ts';
import { volumeWalk } from './volume-walk.ts';
import { narrow, widen } from './widen.ts';

function checkFactor(op: string, factor: number): void {
  if (!Number.isInteger(factor) || factor < 1) {
    throw new InputError(`${op}: factor must be an integer of at least 1, got ${factor}.`);
  }
}

/** Attributes of `pixelShuffle`. */
export interface PixelShuffleAttrs {
  /** Growth of every spatial axis. */
  readonly factor: number;
  /** Layout of x and of the result. */
  readonly layout: SpatialLayout;
}

/** `factor` has no default. */
export const PIXEL_SHUFFLE_DEFAULTS: Pick<PixelShuffleAttrs, 'layout'> = {
  layout: 'channelsFirst',
};

export const pixelShuffleOp: Op<PixelShuffleAttrs> = {
  name: 'pixelShuffle',
  family: 'resample',
  inputs: [{ name: 'x', dtypes: DTYPES, rank: [4, 5] }],
  infer([x], { factor, layout }) {
    checkFactor('pixelShuffle', factor);
    checkLayout('pixelShuffle', layout);
    const axes = x!.shape.length - 2;
    const channelAxis = layout === 'channelsFirst' ? 1 : axes + 1;
    const channels = x!.shape[channelAxis]!;
    const block = factor ** axes;
    if (channels % block !== 0) {
      const expected = `a multiple of ${block} (factor ^ ${axes}) long on its channel axis ${channelAxis}`;
      throw shapeMismatch('pixelShuffle', 'x', expected, x!.shape);
    }
    const shape = x!.shape.map((extent, axis) => {
      if (axis === 0) return extent;
      return axis === channelAxis ? channels / block : extent * factor;
    });
    return [{ dtype: x!.dtype, shape }];
  },
  reference([x], { factor, layout }, [out]) {
    const from = volumeWalk(x!.shape, layout);
    const to = volumeWalk(out!.shape, layout);
    const image = x!.shape.length === 4;
    const channels = to.batch / sizeOf(to.extents);
    // An image is one voxel deep and does not grow along that axis.
    const depthFactor = image ? 1 : factor;
    const block = depthFactor * factor * factor;
    for (let b = 0; b < x!.shape[0]!; b++) {
      for (let c = 0; c < channels; c++) {
        for (let d = 0; d < to.extents[0]; d++) {
          for (let h = 0; h < to.extents[1]; h++) {
            for (let w = 0; w < to.extents[2]; w++) {
              const within = ((d % depthFactor) * factor + (h % factor)) * factor + (w % factor);
              const source =
                b * from.batch +
                (c * block + within) * from.channel +
                Math.floor(d / depthFactor) * from.strides[0] +
                Math.floor(h / factor) * from.strides[1] +
                Math.floor(w / factor) * from.strides[2];
              const target =
                b * to.batch +
                c * to.channel +
                d * to.strides[0] +
                h * to.strides[1] +
                w * to.strides[2];
              out!.data[target] = x!.data[source]!;
            }
          }
        }
      }
    }
  },
  decompose([x], { factor, layout }) {
    const axes = x!.rank - 2;
    const first = layout === 'channelsFirst';
    const batch = x!.shape[0]!;
    const extents = first ? x!.shape.slice(2) : x!.shape.slice(1, -1);
    const channels = x!.shape[first ? 1 : axes + 1]! / factor ** axes;
    const factors = extents.map(() => factor);
    const grown = extents.map((extent) => extent * factor);
    // Split the channel axis into (c, i, j, ...), then interleave every spatial axis with its factor.
    const split = first
      ? x!.reshape(batch, channels, ...factors, ...extents)
      : x!.reshape(batch, ...extents, channels, ...factors);
    const [channelAt, factorsAt, extentsAt] = first ? [1, 2, 2 + axes] : [1 + axes, 2 + axes, 1];
    const woven = extents.flatMap((_, i) => [extentsAt + i, factorsAt + i]);
    const order = first ? [0, channelAt, ...woven] : [0, ...woven, channelAt];
    const shape = first ? [batch, channels, ...grown] : [batch, ...grown, channels];
    return [split.permute(...order).reshape(...shape)];
  },
};

/**
 * Moves channels into space: every voxel becomes a block of `factor` per axis.
 *
 * Channel `c * factor^2 + i * factor + j` of an image (`c * factor^3 + (i * factor + j) * factor + k` of a volume) gives
 * element `(i, j)` (`(i, j, k)`) of the blocks of output channel `c`.
 *
 * @param x `[B, C * factor^2, H, W]` or `[B, C * factor^3, X, Y, Z]` of any dtype; channels last with that layout.
 * @param options `factor`; `layout`, default `channelsFirst`.
 * @returns `[B, C, H * factor, W * factor]` or its volume counterpart, in the layout and dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 * @see Shi et al., Real-Time Single Image and Video Super-Resolution, arXiv 1609.05158
 */
export function pixelShuffle(
  x: Tensor,
  options: Pick<PixelShuffleAttrs, 'factor'> & Partial<PixelShuffleAttrs>,
): Tensor {
  return executeOne(pixelShuffleOp, [x], { ...PIXEL_SHUFFLE_DEFAULTS, ...options });
}

/** Attributes of `upsampleNearest`. */
export interface UpsampleNearestAttrs {
  /** Growth of every spatial axis. */
  readonly factor: number;
}

export const upsampleNearestOp: Op<UpsampleNearestAttrs> = {
  name: 'upsampleNearest',
  family: 'resample',
  inputs: [{ name: 'x', dtypes: DTYPES, rank: [4, 5] }],
  infer([x], { factor }) {
    checkFactor('upsampleNearest', factor);
    const spatial = x!.shape.slice(2).map((extent) => extent * factor);
    return [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, 2), ...spatial] }];
  },
  reference([x], { factor }, [out]) {
    const from = volumeWalk(x!.shape, 'channelsFirst');
    const to = volumeWalk(out!.shape, 'channelsFirst');
    const depthFactor = x!.shape.length === 4 ? 1 : factor;
    const planes = x!.shape[0]! * x!.shape[1]!;
    let target = 0;
    for (let p = 0; p < planes; p++) {
      for (let d = 0; d < to.extents[0]; d++) {
        for (let h = 0; h < to.extents[1]; h++) {
          const row =
            p * from.channel +
            Math.floor(d / depthFactor) * from.strides[0] +
            Math.floor(h / factor) * from.strides[1];
          for (let w = 0; w < to.extents[2]; w++) {
            out!.data[target++] = x!.data[row + Math.floor(w / factor)]!;
          }
        }
      }
    }
  },
  decompose([x], { factor }) {
    const [batch, channels, ...extents] = x!.shape as [number, number, ...number[]];
    const apart = x!.reshape(batch, channels, ...extents.flatMap((extent) => [extent, 1]));
    const repeated = apart.expand(
      batch,
      channels,
      ...extents.flatMap((extent) => [extent, factor]),
    );
    return [repeated.reshape(batch, channels, ...extents.map((extent) => extent * factor))];
  },
};

/**
 * Repeats every pixel or voxel `factor` times along each spatial axis.
 *
 * @param x `[B, C, H, W]` or `[B, C, X, Y, Z]` of any dtype.
 * @param options `factor`, an integer of at least 1.
 * @returns `[B, C, H * factor, W * factor]` or its volume counterpart, of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function upsampleNearest(x: Tensor, options: UpsampleNearestAttrs): Tensor {
  return executeOne(upsampleNearestOp, [x], { factor: options.factor });
}

/** Taps of an output element, for the cost. */
function tapsPerElement(from: number, to: number): number {
  return 4 * Math.max(1, from / to);
}

/** Attributes of `resizeBicubic`. */
export interface ResizeBicubicAttrs {
  /** Height and width of the result. */
  readonly size: readonly [height: number, width: number];
  /** Widens the filter when shrinking. */
  readonly antialias: boolean;
}

/** `size` has no default. */
export const RESIZE_BICUBIC_DEFAULTS: Pick<ResizeBicubicAttrs, 'antialias'> = { antialias: true };

export const resizeBicubicOp: Op<ResizeBicubicAttrs> = {
  name: 'resizeBicubic',
  family: 'resample',
  inputs: [{ name: 'x', dtypes: FLOAT_DTYPES, rank: 4 }],
  infer([x], { size }) {
    if (size.length !== 2 || size.some((extent) => !Number.isInteger(extent) || extent < 1)) {
      throw new InputError(
        `resizeBicubic: size must be 2 integers of at least 1, got ${formatShape(size)}.`,
      );
    }
    if (x!.shape[2] === 0 || x!.shape[3] === 0) {
      throw shapeMismatch('resizeBicubic', 'x', '[B, C, H, W] with H and W at least 1', x!.shape);
    }
    return [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, 2), ...size] }];
  },
  reference([x], { size: [height, width], antialias }, [out]) {
    const [planes, rows, columns] = [x!.shape[0]! * x!.shape[1]!, x!.shape[2]!, x!.shape[3]!];
    const across = bicubicTaps(columns, width, antialias);
    const down = bicubicTaps(rows, height, antialias);
    const widened = new Float64Array(rows * width);
    for (let p = 0; p < planes; p++) {
      for (let row = 0; row < rows; row++) {
        const start = (p * rows + row) * columns;
        for (let i = 0; i < width; i++) {
          let total = 0;
          for (let t = 0; t < across.count[i]!; t++) {
            total += across.weights[i * across.width + t]! * x!.data[start + across.first[i]! + t]!;
          }
          widened[row * width + i] = total;
        }
      }
      for (let i = 0; i < height; i++) {
        for (let column = 0; column < width; column++) {
          let total = 0;
          for (let t = 0; t < down.count[i]!; t++) {
            total +=
              down.weights[i * down.width + t]! * widened[(down.first[i]! + t) * width + column]!;
          }
          out!.data[(p * height + i) * width + column] = total;
        }
      }
    }
  },
  decompose([x], { size: [height, width], antialias }) {
    const [rows, columns] = x!.shape.slice(2) as [number, number];
    const across = tapsMatrix(bicubicTaps(columns, width, antialias), columns);
    const down = tapsMatrix(bicubicTaps(rows, height, antialias), rows);
    const widened = matmul(widen(x!), x!.device.tensor(across, [width, columns]).transpose());
    return [narrow(matmul(x!.device.tensor(down, [height, rows]), widened), x!.dtype)];
  },
  cost(inputs, { size: [height, width] }, outputs) {
    const [rows, columns] = inputs[0]!.shape.slice(2) as [number, number];
    const planes = inputs[0]!.shape[0]! * inputs[0]!.shape[1]!;
    const flops =
      2 *
      planes *
      width *
      (rows * tapsPerElement(columns, width) + height * tapsPerElement(rows, height));
    return { flops, bytes: trafficBytes(inputs, outputs) };
  },
};

/**
 * Bicubic resize of images with the sampling of PyTorch's `interpolate(mode='bicubic', align_corners=False)`, scaled by
 * the ratio of the sizes.
 *
 * With antialiasing the cubic has parameter -0.5, stretches when shrinking and is normalised at the borders; without it
 * the parameter is -0.75 and the border repeats.
 *
 * @param x `[B, C, H, W]` float.
 * @param options `size`, height and width of the result; `antialias`, default true.
 * @returns `[B, C, ...size]` of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 * @see Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981
 */
export function resizeBicubic(
  x: Tensor,
  options: Pick<ResizeBicubicAttrs, 'size'> & Partial<ResizeBicubicAttrs>,
): Tensor {
  return executeOne(resizeBicubicOp, [x], { ...RESIZE_BICUBIC_DEFAULTS, ...options });
}
