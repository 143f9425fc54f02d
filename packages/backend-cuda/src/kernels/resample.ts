/** pixelShuffle, upsampleNearest and resizeBicubic. */
import {
  bytesPerElement,
  sizeOf,
  type PixelShuffleAttrs,
  type ResizeBicubicAttrs,
  type UpsampleNearestAttrs,
} from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';
import { packVolume, volumeOf } from '../volume.ts';

/** The factor of each spatial axis; an image does not grow in depth. */
function factors(rank: number, factor: number): number[] {
  return [rank === 4 ? 1 : factor, factor, factor];
}

export const pixelShuffleKernel: CudaKernel<PixelShuffleAttrs> = {
  op: 'pixelShuffle',
  supports: fitsIndices,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const { shape } = call.outputs[0]!;
    const { factor, layout } = call.attrs;
    const out = volumeOf(shape, layout);
    const params = new ParamBlock()
      .int(bytesPerElement(x.dtype), sizeOf(shape), out.channels)
      .bool(layout === 'channelsLast')
      .int(...factors(shape.length, factor))
      .int(...out.extents);
    return planLaunch(context, 'pixelShuffle', call, packVolume(params, volumeOf(x.shape, layout)));
  },
  run: runLaunch,
};

export const upsampleNearestKernel: CudaKernel<UpsampleNearestAttrs> = {
  op: 'upsampleNearest',
  supports: fitsIndices,
  prepare(call, context) {
    const x = call.inputs[0]!;
    const { shape } = call.outputs[0]!;
    const params = new ParamBlock()
      .int(bytesPerElement(x.dtype), sizeOf(shape))
      .int(...factors(shape.length, call.attrs.factor))
      .int(...volumeOf(shape, 'channelsFirst').extents);
    return planLaunch(context, 'upsampleNearest', call, params);
  },
  run: runLaunch,
};

/** Most taps of an output element along an axis; see `bicubicTaps` of core. */
function tapRoom(from: number, to: number, antialias: boolean): number {
  if (!antialias) return 4;
  return Math.ceil(2 * Math.max(1, from / to)) * 2 + 1;
}

export const resizeBicubicKernel: CudaKernel<ResizeBicubicAttrs> = {
  op: 'resizeBicubic',
  supports(call) {
    const [batch, channels, rows] = call.inputs[0]!.shape as [number, number, number];
    // Between its passes along rows and columns.
    const between = { dtype: 'f32', shape: [batch, channels, rows, call.attrs.size[1]] } as const;
    return fitsIndices({ ...call, outputs: [...call.outputs, between] });
  },
  prepare(call, context) {
    const x = call.inputs[0]!;
    const { size, antialias } = call.attrs;
    const [batch, channels, rows, columns] = x.shape as [number, number, number, number];
    const [height, width] = size;
    const params = new ParamBlock()
      .dtype(x.dtype)
      .int(batch * channels, rows, columns, height, width)
      .bool(antialias)
      .int(tapRoom(rows, height, antialias), tapRoom(columns, width, antialias));
    return planLaunch(context, 'resizeBicubic', call, params);
  },
  run: runLaunch,
};
