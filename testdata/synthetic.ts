/**
 * Inputs and weights of the golden cases, generated from their names: a full-size network is checked without storing it.
 *
 * Element `i` of a tensor hashes `(FNV-1a(name) + i * golden ratio)`; the sparse golden file holds a check vector.
 */

// As a signed integer, which keeps the loop in 32-bit arithmetic.
const GOLDEN_RATIO = 0x9e3779b9 | 0;
const UNIT = 2 ** -31;

/** FNV-1a of the name's bytes. */
function seedOf(name: string): number {
  let seed = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  return seed;
}

/**
 * Writes `offset + scale * v` for the values `v` in `[-1, 1)` of a name. The arithmetic is float64, the array rounds.
 *
 * All state is 32-bit integer and the loop plain, since the largest networks take 600 million values.
 */
function fillValues(
  out: Float32Array | Float64Array,
  name: string,
  scale: number,
  offset: number,
): void {
  let state = seedOf(name);
  for (let i = 0; i < out.length; i++) {
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    x ^= x >>> 16;
    out[i] = offset + scale * ((x >>> 0) * UNIT - 1);
    state = (state + GOLDEN_RATIO) | 0;
  }
}

/** `count` values in `[-1, 1)`, float64. */
export function unitValues(name: string, count: number): Float64Array {
  const out = new Float64Array(count);
  fillValues(out, name, 1, 0);
  return out;
}

function elements(shape: number | readonly number[]): number {
  return typeof shape === 'number' ? shape : shape.reduce((a, b) => a * b, 1);
}

/** An input of unit variance. */
export function synthInput(name: string, shape: number | readonly number[]): Float32Array {
  const out = new Float32Array(elements(shape));
  fillValues(out, name, Math.sqrt(3), 0);
  return out;
}

/** A parameter, scaled by the part it plays: gains round 1, small biases, weights by their fan-in. */
export function synthParameter(name: string, shape: readonly number[]): Float32Array {
  const out = new Float32Array(elements(shape));
  const [first = 1] = shape;
  const vector = shape.length === 1;
  if (name.endsWith('gamma') || (vector && name.endsWith('weight'))) fillValues(out, name, 0.2, 1);
  else if (vector) fillValues(out, name, 0.1, 0);
  else if (first === 1) fillValues(out, name, 0.5, 0);
  else fillValues(out, name, Math.sqrt(3 / (out.length / first)), 0);
  return out;
}
