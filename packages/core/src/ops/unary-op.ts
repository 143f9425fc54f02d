/** The common shape of elementwise ops with one operand. */
import type { DType } from '../dtype.ts';
import type { InputsOf, Op } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { perOutputElement } from './cost.ts';
import { narrow, widen } from './widen.ts';

/** What sets one elementwise op apart from the others. */
export interface UnaryRule {
  readonly dtypes: readonly DType[];
  /** Result dtype; that of x when absent. */
  readonly output?: 'bool';
  /** Nominal operations per element. */
  readonly flops: number;
  readonly apply: (value: number) => number;
  /** In place of `apply` for i32, where doubles would not wrap. */
  readonly applyInteger?: (value: number) => number;
  /** The same from simpler ops, on an f32 tensor; half types are widened before and rounded after. */
  readonly decompose?: (x: Tensor) => Tensor;
}

/** Declares a one-operand op. */
export function unaryOp(name: string, rule: UnaryRule): Op {
  const { decompose } = rule;
  return {
    name,
    family: 'elementwise',
    inputs: [{ name: 'x', dtypes: rule.dtypes }],
    infer: ([x]) => [{ dtype: rule.output ?? x!.dtype, shape: x!.shape }],
    reference([x], _attrs, [out]) {
      const source = x!.data;
      const target = out!.data;
      const apply = x!.dtype === 'i32' ? (rule.applyInteger ?? rule.apply) : rule.apply;
      for (let i = 0; i < target.length; i++) target[i] = apply(source[i]!);
    },
    ...(decompose && {
      decompose: ([x]: InputsOf<Tensor>) => [narrow(decompose(widen(x!)), rule.output ?? x!.dtype)],
    }),
    cost: perOutputElement(rule.flops),
  };
}
