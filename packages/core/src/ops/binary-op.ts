/** The common shape of elementwise ops with two operands: two tensors, or a tensor and a number. */
import { executeOne } from '../device.ts';
import { isFloat, type DType } from '../dtype.ts';
import { InputError } from '../errors.ts';
import { commonDType, type Op } from '../op.ts';
import { broadcastShapes, sameShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { operandStrides, walkBroadcast } from './broadcast-walk.ts';
import { integerRange } from './cast.ts';
import { perOutputElement } from './cost.ts';

/** Attributes of every two-operand op. With two tensors both are absent. */
export interface BinaryAttrs {
  /** Takes the place of `b`, which is then left out. Float tensors meet it as an f32. */
  readonly scalar?: number;
  /** The number is the left operand: `scalar - a` in place of `a - scalar`. */
  readonly reverse?: boolean;
}

/** What sets one two-operand op apart from the others. */
export interface BinaryRule {
  readonly dtypes: readonly DType[];
  /** Result dtype; that of the operands when absent. */
  readonly output?: 'bool';
  readonly apply: (a: number, b: number) => number;
  /** In place of `apply` for integers; results wrap when they are stored. */
  readonly applyInteger?: (a: number, b: number) => number;
}

/** @throws InputError unless a tensor of `dtype` can meet the number without losing it. */
function checkScalar(op: string, scalar: number | undefined, dtype: DType): void {
  if (scalar === undefined) {
    throw new InputError(`${op}: b must be a tensor or a number, got neither.`);
  }
  if (isFloat(dtype)) return;
  const [low, high] = dtype === 'bool' ? [0, 1] : integerRange(dtype as 'i32' | 'u32' | 'u8');
  if (!Number.isInteger(scalar) || scalar < low || scalar > high) {
    throw new InputError(
      `${op}: the number must be an integer from ${low} to ${high} beside ${dtype}, got ${scalar}.`,
    );
  }
}

/** Declares a two-operand op. */
export function binaryOp(name: string, rule: BinaryRule): Op<BinaryAttrs> {
  const op: Op<BinaryAttrs> = {
    name,
    family: 'elementwise',
    inputs: [
      { name: 'a', dtypes: rule.dtypes },
      { name: 'b', dtypes: rule.dtypes, optional: true },
    ],
    infer([a, b], { scalar }) {
      const dtype = commonDType(op, [a, b]);
      if (b === undefined) checkScalar(name, scalar, dtype);
      else if (scalar !== undefined) {
        throw new InputError(`${name}: b must be a tensor or a number, got both.`);
      }
      const shape = b === undefined ? a!.shape : broadcastShapes(name, a!.shape, b.shape);
      return [{ dtype: rule.output ?? dtype, shape }];
    },
    reference([a, b], { scalar, reverse }, [out]) {
      const float = isFloat(a!.dtype);
      const apply = float ? rule.apply : (rule.applyInteger ?? rule.apply);
      const [left, target] = [a!.data, out!.data];
      if (b === undefined) {
        const number = float ? Math.fround(scalar!) : scalar!;
        for (let i = 0; i < target.length; i++) {
          target[i] = reverse === true ? apply(number, left[i]!) : apply(left[i]!, number);
        }
      } else if (sameShape(a!.shape, b.shape)) {
        const right = b.data;
        for (let i = 0; i < target.length; i++) target[i] = apply(left[i]!, right[i]!);
      } else {
        const right = b.data;
        const operands = [a!, b].map(({ shape }) => operandStrides(shape, out!.shape));
        walkBroadcast(out!.shape, operands, (i, x, y) => {
          target[i] = apply(left[x]!, right[y]!);
        });
      }
    },
    cost: perOutputElement(1),
  };
  return op;
}

/** Runs a two-operand op. @throws InputError when neither operand is a tensor. */
export function executeBinary(op: Op<BinaryAttrs>, a: Tensor | number, b: Tensor | number): Tensor {
  if (a instanceof Tensor) {
    return b instanceof Tensor
      ? executeOne(op, [a, b], {})
      : executeOne(op, [a, undefined], { scalar: b });
  }
  if (b instanceof Tensor) return executeOne(op, [b, undefined], { scalar: a, reverse: true });
  throw new InputError(`${op.name}: a or b must be a tensor, got two numbers.`);
}
