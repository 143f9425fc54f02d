/** Embedding of the flow time. */
import { assignData, type Device, type Tensor } from '@pergola/core';
import { linearParameters, prefixed, type ParameterSpec } from './parameters.ts';
import { project } from './steps.ts';
import { TensorOwner } from './tensor-owner.ts';
import type { Weights } from './weights.ts';

/** Width of the sinusoidal part. */
export const TIMESTEP_CHANNELS = 256;
const MAX_PERIOD = 10000;

/**
 * Sinusoids of each time, `[t.length, channels]` row-major: half cosines, then half sines. Rounded to f32 at every
 * step: times go up to 1000, so the rounding of the argument shows.
 *
 * @param channels even.
 */
export function timestepSinusoids(
  t: readonly number[],
  channels: number = TIMESTEP_CHANNELS,
): Float32Array {
  const half = channels / 2;
  const out = new Float32Array(t.length * channels);
  const step = Math.fround(-Math.log(MAX_PERIOD));
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(Math.exp(Math.fround(Math.fround(step * i) / half)));
    for (let b = 0; b < t.length; b++) {
      const angle = Math.fround(Math.fround(t[b]!) * frequency);
      out[b * channels + i] = Math.cos(angle);
      out[b * channels + half + i] = Math.sin(angle);
    }
  }
  return out;
}

export function timestepEmbedderParameters(prefix: string, channels: number): ParameterSpec[] {
  return prefixed(prefix, [
    ...linearParameters('mlp.0', TIMESTEP_CHANNELS, channels, 'f32'),
    ...linearParameters('mlp.2', channels, channels, 'f32'),
  ]);
}

/**
 * A place on the device for the time of a batch, rewritten between the replays of a recorded step: the step reads it
 * from there.
 */
export class TimeSlot extends TensorOwner {
  readonly batchSize: number;
  /** Sinusoids of the time, f32 `[batchSize, 256]`. */
  readonly waves: Tensor;

  constructor(device: Device, batchSize: number) {
    super(device);
    this.batchSize = batchSize;
    const waves = device.tensor(timestepSinusoids(new Array<number>(batchSize).fill(0)), [
      batchSize,
      TIMESTEP_CHANNELS,
    ]);
    this.waves = this.own(waves);
  }

  /** Sets the time of the whole batch, on the scale of 0 to 1000. */
  set(t: number): void {
    assignData(this.waves, timestepSinusoids(new Array<number>(this.batchSize).fill(t)));
  }
}

/**
 * Sinusoids through a two-layer perceptron, in f32.
 *
 * @param t one time per batch element, on the scale of 0 to 1000, or where to find it.
 * @returns f32 `[B, C]`.
 */
export function embedTimesteps(
  device: Device,
  t: readonly number[] | TimeSlot,
  weights: Weights,
): Tensor {
  return device.run(() => {
    const waves =
      t instanceof TimeSlot
        ? t.waves
        : device.tensor(timestepSinusoids(t), [t.length, TIMESTEP_CHANNELS]);
    return project(project(waves, weights.at('mlp.0'), 'silu'), weights.at('mlp.2'));
  });
}
