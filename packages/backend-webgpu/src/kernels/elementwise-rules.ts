/** The elementwise ops as WGSL expressions of `a` and `b`, by the type in which kernels see their operands. */
import {
  ARITHMETIC,
  EXPONENTIALS,
  EXTREMES,
  NUMBER_CLASSES,
  SIGMOIDS,
  TRIGONOMETRY,
} from '../wgsl/math.ts';

/** One op. */
export interface ElementwiseRule {
  /** Result of f32 operands. */
  readonly float?: string;
  /** Result of i32 operands. */
  readonly signed?: string;
  /** Result of u32 operands (u32 and u8); that of i32 when absent. */
  readonly unsigned?: string;
  /** Result of bool operands. */
  readonly bool?: string;
}

const same = (expression: string): ElementwiseRule => ({
  float: expression,
  signed: expression,
});

/** Functions that the expressions call. */
export const ELEMENTWISE_HELPERS: readonly string[] = [
  NUMBER_CLASSES,
  EXTREMES,
  EXPONENTIALS,
  TRIGONOMETRY,
  SIGMOIDS,
  ARITHMETIC,
];

/** Ops of one operand. */
export const UNARY_RULES: Readonly<Record<string, ElementwiseRule>> = {
  neg: same('-a'),
  abs: same('abs(a)'),
  sign: { float: 'sign_f32(a)', signed: 'sign(a)' },
  square: same('a * a'),
  exp: { float: 'exp_f32(a)' },
  expm1: { float: 'expm1_f32(a)' },
  log: { float: 'log_f32(a)' },
  log1p: { float: 'log1p_f32(a)' },
  sqrt: { float: 'sqrt(a)' },
  rsqrt: { float: 'inverseSqrt(a)' },
  reciprocal: { float: 'divide_f32(1.0, a)' },
  sin: { float: 'sin_f32(a)' },
  cos: { float: 'cos_f32(a)' },
  tanh: { float: 'tanh_f32(a)' },
  sigmoid: { float: 'sigmoid_f32(a)' },
  relu: { float: 'relu_f32(a)' },
  silu: { float: 'silu_f32(a)' },
  softplus: { float: 'softplus_f32(a)' },
  erf: { float: 'erf_f32(a)' },
  floor: { float: 'floor(a)' },
  ceil: { float: 'ceil(a)' },
  round: { float: 'round(a)' },
  logicalNot: { float: 'is_zero(a)', signed: 'a == 0', unsigned: 'a == 0u', bool: '!a' },
  isNaN: { float: 'is_nan(a)' },
  isFinite: { float: 'is_finite(a)' },
};

/** Ops of two operands. */
export const BINARY_RULES: Readonly<Record<string, ElementwiseRule>> = {
  add: same('a + b'),
  sub: same('a - b'),
  mul: same('a * b'),
  div: { float: 'divide_f32(a, b)' },
  pow: { float: 'pow_f32(a, b)' },
  minimum: { float: 'min_f32(a, b)', signed: 'min(a, b)' },
  maximum: { float: 'max_f32(a, b)', signed: 'max(a, b)' },
  floorDivide: {
    float: 'floor_divide_f32(a, b)',
    // Division truncates: one less where the remainder has the other sign.
    signed: 'select(a / b - select(0, 1, a % b != 0 && (a % b < 0) != (b < 0)), 0, b == 0)',
    unsigned: 'select(a / b, 0u, b == 0u)',
  },
  remainder: {
    float: 'remainder_f32(a, b)',
    signed: 'select(a % b + select(0, b, a % b != 0 && (a % b < 0) != (b < 0)), 0, b == 0)',
    unsigned: 'select(a % b, 0u, b == 0u)',
  },
  equal: { ...same('a == b'), bool: 'a == b' },
  // Drivers compare NaN as "not unequal": only equality is reliable.
  notEqual: { float: '!(a == b)', signed: 'a != b', bool: 'a != b' },
  less: same('a < b'),
  lessEqual: same('a <= b'),
  greater: same('a > b'),
  greaterEqual: same('a >= b'),
  logicalAnd: {
    float: '!is_zero(a) && !is_zero(b)',
    signed: 'a != 0 && b != 0',
    unsigned: 'a != 0u && b != 0u',
    bool: 'a && b',
  },
  logicalOr: {
    float: '!is_zero(a) || !is_zero(b)',
    signed: 'a != 0 || b != 0',
    unsigned: 'a != 0u || b != 0u',
    bool: 'a || b',
  },
};

/** The expression of a rule for operands of a WGSL type. */
export function ruleFor(
  rule: ElementwiseRule,
  type: 'f32' | 'i32' | 'u32' | 'bool',
): string | undefined {
  if (type === 'f32') return rule.float;
  if (type === 'i32') return rule.signed;
  if (type === 'u32') return rule.unsigned ?? rule.signed;
  return rule.bool;
}
