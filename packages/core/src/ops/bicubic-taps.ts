/** Weights of one axis of a bicubic resize, as PyTorch's `interpolate` with `align_corners=False` computes them. */

/** Output element `i` is the sum over `t < count[i]` of `weights[i * width + t]` times input element `first[i] + t`. */
export interface ResizeTaps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Float64Array;
  /** Room for taps per output element. */
  readonly width: number;
}

/** Keys' cubic convolution kernel, which ends at distance 2 (Keys 1981, with free parameter `a`). */
function cubic(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** The kernel widens with the scale when shrinking; weights are normalised at the borders. Parameter -0.5. */
function antialiasedTaps(from: number, to: number): ResizeTaps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const width = Math.min(from, Math.ceil(support) * 2 + 1);
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float64Array(to * width);
  for (let i = 0; i < to; i++) {
    const centre = scale * (i + 0.5);
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    let total = 0;
    for (let j = start; j < end; j++) {
      const weight = cubic((j - centre + 0.5) / stretch, -0.5);
      weights[i * width + j - start] = weight;
      total += weight;
    }
    for (let t = 0; t < end - start; t++) weights[i * width + t]! /= total;
    first[i] = start;
    count[i] = end - start;
  }
  return { first, count, weights, width };
}

/** Four taps round each sample point; taps outside the image repeat its border. Parameter -0.75. */
function plainTaps(from: number, to: number): ResizeTaps {
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float64Array(to * 4);
  for (let i = 0; i < to; i++) {
    const position = ((i + 0.5) * from) / to - 0.5;
    const below = Math.floor(position);
    const start = Math.min(from - 1, Math.max(0, below - 1));
    for (let j = below - 1; j <= below + 2; j++) {
      const inside = Math.min(from - 1, Math.max(0, j));
      weights[i * 4 + inside - start]! += cubic(j - position, -0.75);
      count[i] = Math.max(count[i]!, inside - start + 1);
    }
    first[i] = start;
  }
  return { first, count, weights, width: 4 };
}

/** Taps that resize an axis of `from` elements to `to` elements. */
export function bicubicTaps(from: number, to: number, antialias: boolean): ResizeTaps {
  return antialias ? antialiasedTaps(from, to) : plainTaps(from, to);
}

/** The taps as a dense row-major `[to, from]` matrix. */
export function tapsMatrix(taps: ResizeTaps, from: number): Float32Array {
  const matrix = new Float32Array(taps.first.length * from);
  for (let i = 0; i < taps.first.length; i++) {
    for (let t = 0; t < taps.count[i]!; t++) {
      matrix[i * from + taps.first[i]! + t] = taps.weights[i * taps.width + t]!;
    }
  }
  return matrix;
}
