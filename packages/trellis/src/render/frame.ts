/** Rendered pictures as floats, and their way to 8 bits. */
import { InputError } from '@pergola/core';
import type { PixelImage } from '../conditioning/image.ts';

/** Red, green, blue in `[0, 1]`. */
export type Color = readonly [number, number, number];

/** A rendered square picture, top row first. */
export interface Frame {
  /** Pixels along each side, S. */
  readonly size: number;
  /** `[S, S, 3]` display colour over the background; may exceed 1. */
  readonly color: Float32Array;
  /** `[S, S]` coverage, 0 to 1. */
  readonly alpha: Float32Array;
}

/** Options shared by the renderers. */
export interface RenderOptions {
  /** Pixels along each side. Default 512. */
  readonly size: number;
  /** The picture is rendered this many times larger and filtered down. Default depends on the renderer. */
  readonly ssaa: number;
  /** Default black. */
  readonly background: Color;
}

const MAX_SIDE = 16384;

/** @throws InputError unless size and ssaa are whole and the large picture is of a sane size. */
export function checkRenderOptions(who: string, { size, ssaa }: RenderOptions): void {
  for (const [name, value] of [
    ['size', size],
    ['ssaa', ssaa],
  ] as const) {
    if (!Number.isInteger(value) || value < 1) {
      throw new InputError(`${who}: ${name} must be an integer of at least 1, got ${value}.`);
    }
  }
  if (size * ssaa > MAX_SIDE) {
    throw new InputError(
      `${who}: size times ssaa must be at most ${MAX_SIDE}, got ${size} times ${ssaa}.`,
    );
  }
}

/**
 * Filters a picture down by a whole factor with a triangle filter of that half-width.
 *
 * @param data `[S, S, channels]`, S a multiple of the factor.
 * @returns `[S / factor, S / factor, channels]`.
 */
export function downsampleImage(
  data: Float32Array,
  size: number,
  channels: number,
  factor: number,
): Float32Array {
  if (factor === 1) return data;
  const target = size / factor;
  const rows = new Float32Array(target * size * channels);
  const out = new Float32Array(target * target * channels);
  for (let i = 0; i < target; i++) {
    const { first, weights } = triangleTaps(i, factor, size);
    // Rows first: whole lines are weighted and added.
    const line = i * size * channels;
    for (let tap = 0; tap < weights.length; tap++) {
      const weight = weights[tap]!;
      const from = (first + tap) * size * channels;
      for (let k = 0; k < size * channels; k++) {
        rows[line + k] = rows[line + k]! + weight * data[from + k]!;
      }
    }
  }
  for (let column = 0; column < target; column++) {
    const { first, weights } = triangleTaps(column, factor, size);
    for (let row = 0; row < target; row++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) {
          sum += weights[tap]! * rows[(row * size + first + tap) * channels + c]!;
        }
        out[(row * target + column) * channels + c] = sum;
      }
    }
  }
  return out;
}

/** Weights, summing to 1, of the source samples round output `index`. */
function triangleTaps(
  index: number,
  factor: number,
  size: number,
): { first: number; weights: number[] } {
  const center = (index + 0.5) * factor;
  const first = Math.max(0, Math.trunc(center - factor + 0.5));
  const end = Math.min(size, Math.trunc(center + factor + 0.5));
  const weights: number[] = [];
  for (let j = first; j < end; j++) {
    weights.push(Math.max(0, 1 - Math.abs(j - center + 0.5) / factor));
  }
  const total = weights.reduce((a, b) => a + b, 0);
  return { first, weights: weights.map((w) => w / total) };
}

/** Values times 255, clamped and truncated, as the published renders are stored. */
export function quantizeColors(values: Float32Array): Uint8Array {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) {
    // NaN becomes 0.
    out[i] = Math.trunc(Math.min(Math.max(255 * values[i]!, 0), 255));
  }
  return out;
}

/** The colour of a frame as an 8-bit RGB picture. */
export function frameImage(frame: Frame): PixelImage {
  return { width: frame.size, height: frame.size, channels: 3, data: quantizeColors(frame.color) };
}
