/**
 * Float functions in WGSL that are precise and keep NaN and infinities.
 *
 * The built-in functions may lose small results (`log` near 1, `sin` far from 0), and the language lets compilers
 * assume finite numbers: `max` may drop NaN, as may a `select` that amounts to it, and constants must be finite. Tests
 * go by bits, and special values are made from bits at run time. Polynomials are minimax fits (Remez exchange) on the
 * ranges given beside them.
 */

/** Tests by bit pattern, and special values. */
export const NUMBER_CLASSES: string = `
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }
fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) < 0x7f800000u; }
fn is_zero(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) == 0u; }
// A variable, since constant expressions must be finite.
fn infinity() -> f32 { var bits = 0x7f800000u; return bitcast<f32>(bits); }
fn not_a_number() -> f32 { var bits = 0x7fc00000u; return bitcast<f32>(bits); }
`;

/** Extremes that pass NaN on. */
export const EXTREMES: string = `
fn max_f32(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a > b);
}
fn min_f32(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a < b);
}
`;

/** `exp`, `log` and their variants about 0 and 1. */
export const EXPONENTIALS: string = `
fn exp_f32(v: f32) -> f32 {
  if (is_nan(v)) { return v; }
  if (v > 88.8) { return infinity(); }
  return exp(max(v, -104.0));
}
fn expm1_f32(v: f32) -> f32 {
  if (abs(v) < 0.5) {
    // Taylor series: the next term is below 2e-7 of the sum.
    return v * (1.0 + v * (0.5 + v * (0.166666667 + v * (0.0416666667 + v * (0.00833333333 + v * (0.00138888889 + v * 0.000198412698))))));
  }
  return exp_f32(v) - 1.0;
}
// log(1 + v) for v in [-1/2, 1], as 2 atanh(v / (2 + v)).
fn log1p_series(v: f32) -> f32 {
  let s = v / (2.0 + v);
  let z = s * s;
  let tail = z * (0.33333338 + z * (0.19999439 + z * (0.14308442 + z * (0.10713829 + z * 0.12150467))));
  return 2.0 * (s + s * tail);
}
fn log_f32(v: f32) -> f32 {
  if (v > 0.5 && v < 2.0) { return log1p_series(v - 1.0); }
  if (v < 0.0) { return not_a_number(); }
  if (!is_finite(v)) { return v; }
  if (v == 0.0) { return -infinity(); }
  return log(v);
}
fn log1p_f32(v: f32) -> f32 {
  if (v > -0.5 && v < 1.0) { return log1p_series(v); }
  return log_f32(1.0 + v);
}
`;

/** Sine and cosine: reduction by pi/2 in three parts, exact for arguments up to some thousands. */
export const TRIGONOMETRY: string = `
fn sine_of_quadrant(v: f32, shift: i32) -> f32 {
  let turns = round(v * 0.636619772);
  let r = ((v - turns * 1.5703125) - turns * 4.837512969970703e-4) - turns * 7.549789948768648e-8;
  let z = r * r;
  // On [-pi/4, pi/4].
  let sine = r + r * z * (-0.16666655 + z * (0.0083321781 - z * 0.00019517299));
  let cosine = 1.0 - 0.5 * z + z * z * (0.041666647 + z * (-0.0013887368 + z * 0.000024438452));
  let quadrant = (i32(turns) + shift) & 3;
  let value = select(sine, cosine, (quadrant & 1) == 1);
  return select(value, -value, quadrant >= 2);
}
fn sin_f32(v: f32) -> f32 {
  if (!is_finite(v)) { return not_a_number(); }
  return sine_of_quadrant(v, 0);
}
fn cos_f32(v: f32) -> f32 {
  if (!is_finite(v)) { return not_a_number(); }
  return sine_of_quadrant(v, 1);
}
`;

/** Functions of neural networks; needs `EXPONENTIALS`. */
export const SIGMOIDS: string = `
fn tanh_f32(v: f32) -> f32 {
  if (is_nan(v)) { return v; }
  let size = abs(v);
  // From 9 on the result rounds to 1.
  if (size >= 9.0) { return sign(v); }
  let e = expm1_f32(2.0 * size);
  let value = e / (e + 2.0);
  return select(value, -value, v < 0.0);
}
fn sigmoid_f32(v: f32) -> f32 {
  if (is_nan(v)) { return v; }
  // Beyond 88 the exponential overflows, and the result is 0 to f32.
  return 1.0 / (1.0 + exp(-clamp(v, -88.0, 88.0)));
}
fn silu_f32(v: f32) -> f32 { return v * sigmoid_f32(v); }
fn softplus_f32(v: f32) -> f32 {
  if (is_nan(v)) { return v; }
  return max(v, 0.0) + log1p_f32(exp_f32(-abs(v)));
}
// Zero for the bits of the numbers from the one next to -0 to -infinity.
fn relu_f32(v: f32) -> f32 { return select(v, 0.0, bitcast<u32>(v) - 0x80000001u < 0x7f800000u); }
// erf on [-1, 1].
fn erf_series(v: f32) -> f32 {
  let z = v * v;
  return v * (1.12837917 + z * (-0.376126271 + z * (0.112836002 + z * (-0.0268544447 + z * (0.00518953546 + z * (-0.000802084237 + z * 0.0000788912318))))));
}
// 1 - erf(v) for v of at least 1: exp(v^2) times it is a polynomial of 1/v.
fn erfc_tail(v: f32) -> f32 {
  let t = 1.0 / v;
  let scaled = 0.000350055197 + t * (0.557733333 + t * (0.051064587 + t * (-0.506123651 + t * (0.576131026 + t * (-0.354456924 + t * (0.120711608 - t * 0.017826428))))));
  return exp(-min(v * v, 104.0)) * scaled;
}
fn erf_f32(v: f32) -> f32 {
  let size = abs(v);
  if (size < 1.0) { return erf_series(v); }
  if (is_nan(v)) { return v; }
  // From 4 on the result rounds to 1.
  if (size >= 4.0) { return sign(v); }
  return sign(v) * (1.0 - erfc_tail(size));
}
fn gelu_f32(v: f32) -> f32 {
  let s = v * 0.707106781;
  // Left of -1 the sum 1 + erf cancels.
  if (s < -1.0) { return 0.5 * v * erfc_tail(-s); }
  return 0.5 * v * (1.0 + erf_f32(s));
}
fn gelu_tanh_f32(v: f32) -> f32 {
  return 0.5 * v * (1.0 + tanh_f32(0.797884561 * (v + 0.044715 * v * v * v)));
}
fn quick_gelu_f32(v: f32) -> f32 { return v * sigmoid_f32(1.702 * v); }
`;

/** Sign, division, powers, floor division and remainder; needs `EXPONENTIALS`. */
export const ARITHMETIC: string = `
fn sign_f32(v: f32) -> f32 {
  let bits = bitcast<u32>(v);
  // Zero wraps.
  return select(v, bitcast<f32>((bits & 0x80000000u) | 0x3f800000u), (bits & 0x7fffffffu) - 1u < 0x7f800000u);
}
// v / 16; subnormal results are 0.
fn lowered(v: f32) -> f32 {
  let bits = bitcast<u32>(v);
  let size = bits & 0x7fffffffu;
  if (size >= 0x7f800000u) { return v; }
  return bitcast<f32>(select(bits & 0x80000000u, bits - 0x02000000u, size >= 0x02800000u));
}
// v 2^126, of subnormal v as well.
fn raised(v: f32) -> f32 {
  let bits = bitcast<u32>(v);
  let size = bits & 0x7fffffffu;
  let sign = bits & 0x80000000u;
  if (size > 0x7f800000u) { return v; }
  if (size >= 0x40800000u) { return bitcast<f32>(sign | 0x7f800000u); }
  if (size >= 0x00800000u) { return bitcast<f32>(bits + 0x3f000000u); }
  return bitcast<f32>(sign | bitcast<u32>(f32(size) * 1.1920928955078125e-7));
}
// Devices multiply by the reciprocal, which may be 0 for b above 2^126 and infinite for b below 2^-126.
fn divide_f32(a: f32, b: f32) -> f32 {
  let size = bitcast<u32>(b) & 0x7fffffffu;
  if (size - 0x00800000u < 0x7d800000u) { return a / b; }
  if (size < 0x00800000u) { return raised(a) / raised(b); }
  return lowered(a) / lowered(b);
}
fn is_odd(v: f32) -> bool {
  let half = abs(v) * 0.5;
  return floor(half) != half && floor(v) == v;
}
fn pow_f32(base: f32, exponent: f32) -> f32 {
  if (bitcast<u32>(base) == 0x3f800000u || is_zero(exponent)) { return 1.0; }
  if (is_nan(base) || is_nan(exponent)) { return not_a_number(); }
  let size = abs(base);
  let negative = base < 0.0 || (bitcast<u32>(base) >> 31u) == 1u;
  if (!is_finite(exponent)) {
    if (size == 1.0) { return 1.0; }
    return select(0.0, infinity(), (size > 1.0) == (exponent > 0.0));
  }
  let odd = is_odd(exponent);
  if (size == 0.0 || !is_finite(size)) {
    let value = select(0.0, infinity(), (size == 0.0) == (exponent < 0.0));
    return select(value, -value, negative && odd);
  }
  if (floor(exponent) == exponent && abs(exponent) <= 64.0) {
    // Whole powers by squaring.
    var rest = u32(abs(exponent));
    var factor = base;
    var product = 1.0;
    while (rest > 0u) {
      if ((rest & 1u) == 1u) { product *= factor; }
      factor *= factor;
      rest >>= 1u;
    }
    return select(product, 1.0 / product, exponent < 0.0);
  }
  if (negative && floor(exponent) != exponent) { return not_a_number(); }
  let value = exp_f32(exponent * log_f32(size));
  return select(value, -value, negative && odd);
}
fn floor_divide_f32(a: f32, b: f32) -> f32 {
  let quotient = divide_f32(a, b);
  if (!is_finite(quotient) || !is_finite(b) || b == 0.0) { return floor(quotient); }
  // Division may round across a whole number: the remainder tells.
  var whole = floor(quotient);
  let rest = fma(-whole, b, a);
  if (rest != 0.0 && (rest < 0.0) != (b < 0.0)) { whole -= 1.0; }
  else if (abs(rest) >= abs(b)) { whole += 1.0; }
  return whole;
}
fn remainder_f32(a: f32, b: f32) -> f32 {
  if (is_nan(b) || !is_finite(a) || b == 0.0) { return not_a_number(); }
  var rest = a;
  if (is_finite(b)) {
    rest = fma(-floor_divide_f32(a, b), b, a);
    if (abs(rest) >= abs(b)) { rest = 0.0; }
  }
  if (rest != 0.0 && (rest < 0.0) != (b < 0.0)) { rest += b; }
  return rest;
}
`;

/** Activations that fused kernels apply, as WGSL functions of f32; needs `SIGMOIDS`. */
export const ACTIVATION_CALLS: Readonly<
  Record<'none' | 'relu' | 'silu' | 'gelu' | 'geluTanh' | 'quickGelu', (value: string) => string>
> = {
  none: (value) => value,
  relu: (value) => `relu_f32(${value})`,
  silu: (value) => `silu_f32(${value})`,
  gelu: (value) => `gelu_f32(${value})`,
  geluTanh: (value) => `gelu_tanh_f32(${value})`,
  quickGelu: (value) => `quick_gelu_f32(${value})`,
};

/** What the activations need. */
export const ACTIVATION_HELPERS: readonly string[] = [NUMBER_CLASSES, EXPONENTIALS, SIGMOIDS];
