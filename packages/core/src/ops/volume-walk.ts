/** Images and volumes walked alike: an image is a volume one voxel deep. */
import type { SpatialLayout } from './per-axis.ts';

/** Extents of the three spatial axes of a contiguous image or volume, and strides of all its axes, in elements. */
export interface VolumeWalk {
  readonly batch: number;
  readonly channel: number;
  readonly extents: readonly [number, number, number];
  readonly strides: readonly [number, number, number];
}

/** The walk of `[B, C, ...]` or `[B, ..., C]` with two or three spatial axes. */
export function volumeWalk(shape: readonly number[], layout: SpatialLayout): VolumeWalk {
  const first = layout === 'channelsFirst';
  const channels = first ? shape[1]! : shape[shape.length - 1]!;
  const spatial = first ? shape.slice(2) : shape.slice(1, -1);
  const [d, h, w] = (spatial.length === 2 ? [1, ...spatial] : spatial) as [number, number, number];
  const step = first ? 1 : channels;
  return {
    batch: channels * d * h * w,
    channel: first ? d * h * w : 1,
    extents: [d, h, w],
    strides: [h * w * step, w * step, step],
  };
}

/** Per-axis numbers for three axes: `lead` is put before those of an image. */
export function triple(values: readonly number[], lead: number): [number, number, number] {
  return (values.length === 2 ? [lead, ...values] : [...values]) as [number, number, number];
}
