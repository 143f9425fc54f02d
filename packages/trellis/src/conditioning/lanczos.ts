/**
 * Lanczos resampling in 8-bit fixed point, equal bit by bit to the imaging library that the published models were
 * trained and are used with (Pillow). A float resize differs by up to tens of levels at edges, and the condition with it.
 *
 * Separable, horizontal pass first, each pass rounded to 8 bits; when shrinking, the filter widens with the scale.
 */
import { InputError } from '@pergola/core';
import { checkImage, type PixelImage } from './image.ts';

/** Lobes of the windowed sinc. */
const LOBES = 3;
// 32 bits less 8 of the sample and 2 of head room for the overshoot of the filter.
const PRECISION_BITS = 22;

/** Fixed-point weights of one axis: output `i` reads `taps` samples from `starts[i]`. */
interface AxisFilter {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `[outputs, taps]`, scaled by 2^22. */
  readonly weights: Int32Array;
  readonly taps: number;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function lanczos(x: number): number {
  return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
}

function axisFilter(inputs: number, outputs: number): AxisFilter {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const support = LOBES * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outputs);
  const counts = new Int32Array(outputs);
  const weights = new Int32Array(outputs * taps);
  const exact = new Float64Array(taps);
  for (let i = 0; i < outputs; i++) {
    const center = (i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(center - support + 0.5));
    const high = Math.min(inputs, Math.trunc(center + support + 0.5));
    let sum = 0;
    for (let k = 0; k < high - low; k++) {
      // Multiplying by the inverse, not dividing by the stretch, reproduces the last bit of the weights.
      exact[k] = lanczos((k + low - center + 0.5) * (1 / stretch));
      sum += exact[k]!;
    }
    for (let k = 0; k < high - low; k++) {
      const scaled = (exact[k]! / sum) * 2 ** PRECISION_BITS;
      weights[i * taps + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    starts[i] = low;
    counts[i] = high - low;
  }
  return { starts, counts, weights, taps };
}

/** Rounds a fixed-point sum to a sample. */
function toSample(sum: number): number {
  const value = sum >> PRECISION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

const HALF = 1 << (PRECISION_BITS - 1);

function resizeRows(image: PixelImage, width: number): PixelImage {
  const { height, channels } = image;
  const { starts, counts, weights, taps } = axisFilter(image.width, width);
  const source = image.data;
  const data = new Uint8Array(width * height * channels);
  let out = 0;
  for (let y = 0; y < height; y++) {
    const row = y * image.width * channels;
    for (let x = 0; x < width; x++) {
      const first = row + starts[x]! * channels;
      const count = counts[x]!;
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let k = 0; k < count; k++)
          sum += source[first + k * channels + c]! * weights[x * taps + k]!;
        data[out++] = toSample(sum);
      }
    }
  }
  return { width, height, channels, data };
}

function resizeColumns(image: PixelImage, height: number): PixelImage {
  const { width, channels } = image;
  const { starts, counts, weights, taps } = axisFilter(image.height, height);
  const source = image.data;
  const stride = width * channels;
  const data = new Uint8Array(stride * height);
  const sums = new Float64Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < counts[y]!; k++) {
      const weight = weights[y * taps + k]!;
      const row = (starts[y]! + k) * stride;
      for (let i = 0; i < stride; i++) sums[i] = sums[i]! + source[row + i]! * weight;
    }
    for (let i = 0; i < stride; i++) data[y * stride + i] = toSample(sums[i]!);
  }
  return { width, height, channels, data };
}

/** `a * b / 255`, rounded, without a division. */
function multiply255(a: number, b: number): number {
  const t = a * b + 128;
  return (t + (t >> 8)) >> 8;
}

function premultiply(image: PixelImage): PixelImage {
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i += 4) {
    const alpha = image.data[i + 3]!;
    for (let c = 0; c < 3; c++) data[i + c] = multiply255(image.data[i + c]!, alpha);
    data[i + 3] = alpha;
  }
  return { ...image, data };
}

function unpremultiply(image: PixelImage): PixelImage {
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = 0; c < 3; c++) {
      data[i + c] = Math.min(255, Math.floor((255 * data[i + c]!) / alpha));
    }
  }
  return { ...image, data };
}

/**
 * Resizes a picture with a three-lobed Lanczos filter.
 *
 * RGBA is filtered premultiplied, so that colours under full transparency do not bleed in. A picture that already has
 * the size is returned as it is.
 *
 * @throws InputError for a malformed picture or a size below 1.
 * @see Turkowski, Filters for common resampling tasks, Graphics Gems I (1990)
 */
export function resizeLanczos(image: PixelImage, width: number, height: number): PixelImage {
  checkImage('resizeLanczos', image);
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new InputError(`resizeLanczos: size must be at least 1 x 1, got ${width} x ${height}.`);
  }
  if (width === image.width && height === image.height) return image;
  let result = image.channels === 4 ? premultiply(image) : image;
  if (width !== image.width) result = resizeRows(result, width);
  if (height !== image.height) result = resizeColumns(result, height);
  return image.channels === 4 ? unpremultiply(result) : result;
}
