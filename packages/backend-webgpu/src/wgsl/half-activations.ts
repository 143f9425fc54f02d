/**
 * Activations for results that are rounded to f16: without branches, and correct to well below half a unit of f16.
 * Matrix units finish their sums so fast that the full-precision functions of math.ts would take half of the time.
 */
import type { Activation } from '@pergola/core';

// By bits, as relu_f32 of math.ts.
const RELU = `
fn half_relu(v: vec4<f32>) -> vec4<f32> {
  return select(v, vec4<f32>(), bitcast<vec4<u32>>(v) - 0x80000001u < vec4<u32>(0x7f800000u));
}
`;

/** WGSL function `half_<activation>(v: vec4<f32>) -> vec4<f32>`. */
const FUNCTIONS: Readonly<Record<Activation, string>> = {
  none: '',
  relu: RELU,
  // Where the exponential overflows, the quotient is 0.
  silu: `
fn half_silu(v: vec4<f32>) -> vec4<f32> { return v / (1.0 + exp(-v)); }
`,
  // v Phi(v) with Abramowitz and Stegun 7.1.26 for the tail of the normal distribution: no sum cancels.
  gelu: `${RELU}
fn half_gelu(v: vec4<f32>) -> vec4<f32> {
  let size = min(abs(v), vec4<f32>(100.0));
  let t = 1.0 / (1.0 + 0.23164190 * size);
  let series = t * (0.127414796 + t * (-0.142248368 + t * (0.710706871 + t * (-0.726576013 + t * 0.530702714))));
  let tail = size * series * exp(-0.5 * size * size);
  return half_relu(v) - tail;
}
`,
  // v sigmoid(2 u) is v (1 + tanh(u)) / 2.
  geluTanh: `
fn half_geluTanh(v: vec4<f32>) -> vec4<f32> {
  return v / (1.0 + exp(-1.595769122 * (v + 0.044715 * v * v * v)));
}
`,
  quickGelu: `
fn half_quickGelu(v: vec4<f32>) -> vec4<f32> { return v / (1.0 + exp(-1.702 * v)); }
`,
};

/** WGSL of an activation, and a call of it on a `vec4<f32>`. */
export function halfActivation(activation: Activation): {
  readonly helper: string;
  readonly call: (value: string) => string;
} {
  return {
    helper: FUNCTIONS[activation],
    call: (value) => (activation === 'none' ? value : `half_${activation}(${value})`),
  };
}
