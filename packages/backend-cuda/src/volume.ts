/** Images and volumes alike, as native/volume.cuh sees them: an image is a volume one voxel deep. */
import type { SpatialLayout } from '@pergola/core';
import type { ParamBlock } from './params.ts';

/** Extents of the three spatial axes of a contiguous image or volume, and strides of all its axes, in elements. */
export interface Volume {
  readonly channels: number;
  readonly batchStride: number;
  readonly channelStride: number;
  readonly extents: readonly number[];
  readonly strides: readonly number[];
}

/** The volume of `[B, C, ...]` or `[B, ..., C]` with two or three spatial axes. */
export function volumeOf(shape: readonly number[], layout: SpatialLayout): Volume {
  const first = layout === 'channelsFirst';
  const channels = first ? shape[1]! : shape.at(-1)!;
  const spatial = first ? shape.slice(2) : shape.slice(1, -1);
  const [x, y, z] = [...new Array<number>(3 - spatial.length).fill(1), ...spatial] as [
    number,
    number,
    number,
  ];
  const step = first ? 1 : channels;
  return {
    channels,
    batchStride: channels * x * y * z,
    channelStride: first ? x * y * z : 1,
    extents: [x, y, z],
    strides: [y * z * step, z * step, step],
  };
}

/** Appends a `Volume` of native/volume.cuh. */
export function packVolume(params: ParamBlock, volume: Volume): ParamBlock {
  return params
    .int(volume.batchStride, volume.channelStride)
    .int(...volume.extents)
    .int(...volume.strides);
}
