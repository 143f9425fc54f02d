/** Activation functions of one number in double precision, and the set of them that fused ops can apply. */
import { InputError } from '../errors.ts';

/** Activation that a fused op applies to its result. */
export type Activation = 'none' | 'relu' | 'silu' | 'gelu' | 'geluTanh' | 'quickGelu';

const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);
const SQRT_TWO_OVER_PI = Math.sqrt(2 / Math.PI);

/**
 * Error function, to about 1e-15.
 *
 * Sums `2/sqrt(pi) e^(-x^2) (x + 2x^3/3 + 4x^5/15 + ...)` (Abramowitz and Stegun 7.1.6), whose terms all have one sign.
 */
export function erfScalar(x: number): number {
  // From 6 on, 1 - erf(x) is below half a unit in the last place.
  if (Math.abs(x) >= 6) return Math.sign(x);
  const square = x * x;
  let term = x;
  let total = x;
  for (let odd = 3; Math.abs(term) > 1e-17 * Math.abs(total); odd += 2) {
    term *= (2 * square) / odd;
    total += term;
  }
  return TWO_OVER_SQRT_PI * Math.exp(-square) * total;
}

/** `max(x, 0)`; NaN stays NaN. */
export function reluScalar(x: number): number {
  return x < 0 ? 0 : x;
}

/** Logistic function. */
export function sigmoidScalar(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** `x * sigmoid(x)`. */
export function siluScalar(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** `x * Phi(x)` with the normal distribution function `Phi`. */
export function geluScalar(x: number): number {
  return 0.5 * x * (1 + erfScalar(x * Math.SQRT1_2));
}

/** The tanh approximation of GELU (Hendrycks and Gimpel, arXiv 1606.08415, section 2). */
export function geluTanhScalar(x: number): number {
  return 0.5 * x * (1 + Math.tanh(SQRT_TWO_OVER_PI * (x + 0.044715 * x * x * x)));
}

/** The sigmoid approximation of GELU, `x * sigmoid(1.702 x)`. */
export function quickGeluScalar(x: number): number {
  return x / (1 + Math.exp(-1.702 * x));
}

const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: reluScalar,
  silu: siluScalar,
  gelu: geluScalar,
  geluTanh: geluTanhScalar,
  quickGelu: quickGeluScalar,
};

/** The function that an activation names. */
export function activationFunction(activation: Activation): (x: number) => number {
  return ACTIVATIONS[activation];
}

/** @throws InputError unless `activation` is one of `allowed`. */
export function checkActivation(
  op: string,
  activation: string,
  allowed: readonly Activation[] = Object.keys(ACTIVATIONS) as Activation[],
): void {
  if (!allowed.includes(activation as Activation)) {
    throw new InputError(
      `${op}: activation must be one of ${allowed.join(', ')}, got ${activation}.`,
    );
  }
}
