// Four-lane exp, tanh, erf and the activations built on them, accurate to about 2 units in the last place.
// The coefficients are minimax fits made for this file; each fit's error is stated.

// @ts-ignore: decorator
@inline
function splat(value: f32): v128 {
  return f32x4.splat(value);
}

// @ts-ignore: decorator
@inline
function mulAdd(a: v128, b: v128, c: f32): v128 {
  return f32x4.add(f32x4.mul(a, b), splat(c));
}

/** `exp(r)` for `|r| <= log(2) / 2`: 1 + r + r^2 q(r), relative error of the fit 3e-9. */
// @ts-ignore: decorator
@inline
function expReduced(r: v128): v128 {
  let q = splat(0.001381446674);
  q = mulAdd(q, r, 0.008368780429);
  q = mulAdd(q, r, 0.04166839422);
  q = mulAdd(q, r, 0.1666652011);
  q = mulAdd(q, r, 0.4999999341);
  return f32x4.add(splat(1), f32x4.add(r, f32x4.mul(f32x4.mul(r, r), q)));
}

/** `x - n log(2)`, with log(2) split so that the first product is exact. */
// @ts-ignore: decorator
@inline
function reduce(x: v128, n: v128): v128 {
  const r = f32x4.sub(x, f32x4.mul(n, splat(0.693359375)));
  return f32x4.add(r, f32x4.mul(n, splat(2.12194440e-4)));
}

/** `2^n` for integers n of -126 to 127. */
// @ts-ignore: decorator
@inline
function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

// Adding 1.5 * 2^23 rounds a float to an integer, which then stands in the low bits of the sum.
const ROUNDER: f32 = 12582912;
const ROUNDER_BITS: i32 = 0x4b400000;

/** `exp(x)` for any x: overflows to infinity, underflows gradually to 0, keeps NaN. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  x = f32x4.min(f32x4.max(x, splat(-104)), splat(89));
  const rounded = mulAdd(x, splat(1.44269504), ROUNDER);
  const value = expReduced(reduce(x, f32x4.sub(rounded, splat(ROUNDER))));
  // Two factors: one alone could leave the range of normal numbers before the product does.
  const whole = i32x4.sub(rounded, i32x4.splat(ROUNDER_BITS));
  const half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(value, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

/** `exp(x)` for `x <= 0`; values below -87 give 0, NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function expNegative4(x: v128): v128 {
  const lost = f32x4.lt(x, splat(-87));
  const bounded = f32x4.max(x, splat(-87));
  const rounded = mulAdd(bounded, splat(1.44269504), ROUNDER);
  const value = expReduced(reduce(bounded, f32x4.sub(rounded, splat(ROUNDER))));
  // The rounder's own bits lie above the 9 that the shift keeps.
  return v128.andnot(f32x4.mul(value, powerOfTwo(rounded)), lost);
}

/** `1 / (1 + exp(-x))`. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(splat(1), f32x4.add(splat(1), exp4(f32x4.neg(x))));
}

/** `x / (1 + exp(-factor x))`: SiLU with factor 1, the sigmoid form of GELU with 1.702. */
// @ts-ignore: decorator
@inline
export function silu4(x: v128, factor: f32): v128 {
  return f32x4.div(x, f32x4.add(splat(1), exp4(f32x4.mul(x, splat(-factor)))));
}

/** `tanh(x)`; below 0.625 an odd polynomial (relative error of the fit 4e-9), else from the exponential. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const square = f32x4.mul(x, x);
  let p = splat(-0.00570570471);
  p = mulAdd(p, square, 0.02063970339);
  p = mulAdd(p, square, -0.05373989522);
  p = mulAdd(p, square, 0.1333144424);
  p = mulAdd(p, square, -0.3333328201);
  const near = f32x4.add(x, f32x4.mul(f32x4.mul(x, square), p));
  const grown = exp4(f32x4.add(magnitude, magnitude));
  const far = f32x4.sub(splat(1), f32x4.div(splat(2), f32x4.add(grown, splat(1))));
  const sign = v128.and(x, i32x4.splat(0x80000000));
  return v128.bitselect(near, v128.or(far, sign), f32x4.lt(magnitude, splat(0.625)));
}

/** `ln(1 + e^x)` as `max(x, 0) + ln(1 + t)`, t = e^-|x|; the logarithm is 2 atanh(t / (2 + t)), fit to 1e-10. */
// @ts-ignore: decorator
@inline
export function softplus4(x: v128): v128 {
  const t = exp4(f32x4.neg(f32x4.abs(x)));
  const s = f32x4.div(t, f32x4.add(splat(2), t));
  const square = f32x4.mul(s, s);
  let p = splat(0.1220470203);
  p = mulAdd(p, square, 0.1069713361);
  p = mulAdd(p, square, 0.1431031171);
  p = mulAdd(p, square, 0.1999934741);
  p = mulAdd(p, square, 0.3333333963);
  const odd = f32x4.add(s, f32x4.mul(f32x4.mul(s, square), p));
  return f32x4.add(relu4(x), f32x4.add(odd, odd));
}

/** Error function as `x P(x^2) / Q(x^2)`, relative error of the fit 2e-8; from 3.92 on it is 1. */
// @ts-ignore: decorator
@inline
export function erf4(x: v128): v128 {
  const far = f32x4.ge(f32x4.abs(x), splat(3.92));
  const t = f32x4.mul(x, x);
  let p = splat(2.050039741e-6);
  p = mulAdd(p, t, 0.0002848711527);
  p = mulAdd(p, t, 0.003765384249);
  p = mulAdd(p, t, 0.05274799163);
  p = mulAdd(p, t, 0.1904019045);
  p = mulAdd(p, t, 1.128379146);
  let q = splat(3.809061735e-5);
  q = mulAdd(q, t, 0.001162467118);
  q = mulAdd(q, t, 0.01496875852);
  q = mulAdd(q, t, 0.1141071085);
  q = mulAdd(q, t, 0.5020720373);
  q = mulAdd(q, t, 1);
  const sign = v128.and(x, i32x4.splat(0x80000000));
  return v128.bitselect(v128.or(splat(1), sign), f32x4.div(f32x4.mul(x, p), q), far);
}

/** `x / 2 (1 + erf(x / sqrt(2)))`. */
// @ts-ignore: decorator
@inline
export function gelu4(x: v128): v128 {
  const half = f32x4.mul(x, splat(0.5));
  return f32x4.add(half, f32x4.mul(half, erf4(f32x4.mul(x, splat(0.707106781)))));
}

/** `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`. */
// @ts-ignore: decorator
@inline
export function geluTanh4(x: v128): v128 {
  const cube = f32x4.mul(f32x4.mul(x, x), x);
  const inner = f32x4.mul(f32x4.add(x, f32x4.mul(cube, splat(0.044715))), splat(0.797884561));
  const half = f32x4.mul(x, splat(0.5));
  return f32x4.add(half, f32x4.mul(half, tanh4(inner)));
}

/** `max(x, 0)` that keeps NaN. */
// @ts-ignore: decorator
@inline
export function relu4(x: v128): v128 {
  return f32x4.max(x, splat(0));
}

/** The activations of fused ops, by the numbers that kernels pass. */
export const ACTIVATION_NONE: i32 = 0;
const ACTIVATION_RELU: i32 = 1;
const ACTIVATION_SILU: i32 = 2;
const ACTIVATION_GELU: i32 = 3;
const ACTIVATION_GELU_TANH: i32 = 4;
const ACTIVATION_QUICK_GELU: i32 = 5;

// @ts-ignore: decorator
@inline
function activate4(x: v128, activation: i32): v128 {
  switch (activation) {
    case ACTIVATION_RELU:
      return relu4(x);
    case ACTIVATION_SILU:
      return silu4(x, 1);
    case ACTIVATION_GELU:
      return gelu4(x);
    case ACTIVATION_GELU_TANH:
      return geluTanh4(x);
    default:
      return silu4(x, 1.702);
  }
}

/** Inlined once for each activation, so that its constants stay in registers. */
// @ts-ignore: decorator
@inline
function activateWith(at: usize, count: i32, activation: i32): void {
  const end = at + (<usize>count << 2);
  const vectors = at + (<usize>(count & ~3) << 2);
  for (; at < vectors; at += 16) v128.store(at, activate4(v128.load(at), activation));
  for (; at < end; at += 4) {
    store<f32>(at, f32x4.extract_lane(activate4(v128.load_splat<f32>(at), activation), 0));
  }
}

/** Applies an activation to `count` floats in place. */
export function activateRow(at: usize, count: i32, activation: i32): void {
  switch (activation) {
    case ACTIVATION_NONE:
      return;
    case ACTIVATION_RELU:
      return activateWith(at, count, ACTIVATION_RELU);
    case ACTIVATION_SILU:
      return activateWith(at, count, ACTIVATION_SILU);
    case ACTIVATION_GELU:
      return activateWith(at, count, ACTIVATION_GELU);
    case ACTIVATION_GELU_TANH:
      return activateWith(at, count, ACTIVATION_GELU_TANH);
    default:
      return activateWith(at, count, ACTIVATION_QUICK_GELU);
  }
}
