/** What an op is: its declaration, the checks derived from it, and the calls that kernels receive. */
import { bytesPerElement, type DType, type ValueArray } from './dtype.ts';
import { DTypeError, ShapeError } from './errors.ts';
import { formatShape, sizeOf, type Shape } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** dtype and shape of a tensor. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A spec with its strides, in elements: what a kernel plans for. */
export interface TensorLayout extends TensorSpec {
  readonly strides: readonly number[];
  readonly contiguous: boolean;
}

/** A contiguous tensor on the host; half types appear widened to f32 and are rounded on the way out. */
export interface HostTensor extends TensorSpec {
  readonly data: ValueArray;
}

/** One input of an op. The generic checks (dtype, rank, presence) run from this. */
export interface InputSlot {
  readonly name: string;
  readonly dtypes: readonly DType[];
  /** Exact rank, or an inclusive range; any rank when absent. */
  readonly rank?: number | readonly [min: number, max: number];
  /** The caller may leave this input out. */
  readonly optional?: true;
  /** This slot, necessarily the last, takes one or more tensors. */
  readonly variadic?: true;
}

/** Work of one call, for benchmarks and planning. */
export interface OpCost {
  readonly flops: number;
  /** Bytes read and written once each. */
  readonly bytes: number;
}

/** Inputs of a call by slot; `undefined` for an optional input left out. */
export type InputsOf<T> = readonly (T | undefined)[];

/**
 * A declaration in the op catalogue. Every op is declared once, in the package that owns it.
 *
 * Methods receive inputs in slot order, after the generic checks passed. `Attrs` is a plain
 * JSON-like object: it is part of the key under which kernels cache their plans.
 */
export interface Op<Attrs extends object = object> {
  /** The field's standard term, unique over all packages. */
  readonly name: string;
  readonly family: string;
  readonly inputs: readonly InputSlot[];
  /**
   * The shape and dtype rule.
   *
   * @throws ShapeError, DTypeError or InputError, naming the op and the argument.
   */
  infer(inputs: InputsOf<TensorSpec>, attrs: Attrs): readonly TensorSpec[];
  /** Plain reference kernel: reads `inputs`, writes every element of `outputs`. The oracle of conformance. */
  reference(inputs: InputsOf<HostTensor>, attrs: Attrs, outputs: readonly HostTensor[]): void;
  /** The same result from simpler ops, for backends without a kernel. */
  decompose?(inputs: InputsOf<Tensor>, attrs: Attrs): readonly Tensor[];
  /** Arithmetic and traffic of one call; ops without it are measured in bytes of inputs and outputs. */
  cost?(inputs: InputsOf<TensorSpec>, attrs: Attrs, outputs: readonly TensorSpec[]): OpCost;
  /** Kernels that the op's package brings along, by backend name; a backend's own table goes first. */
  readonly kernels?: Readonly<Record<string, unknown>>;
}

function describeRank(rank: number | readonly [number, number]): string {
  return typeof rank === 'number' ? `rank ${rank}` : `rank ${rank[0]} to ${rank[1]}`;
}

/**
 * Presence, dtype and rank checks of a call, from the op's slots. All violations are reported together.
 *
 * @throws DTypeError when only dtypes are wrong, ShapeError otherwise.
 */
export function checkSlots(op: Op, inputs: InputsOf<TensorSpec>): void {
  const problems: string[] = [];
  let dtypeOnly = true;
  const last = op.inputs[op.inputs.length - 1];
  if (inputs.length > op.inputs.length && last?.variadic !== true) {
    problems.push(`takes ${op.inputs.length} inputs, got ${inputs.length}`);
    dtypeOnly = false;
  }
  const count = Math.max(inputs.length, op.inputs.length);
  for (let i = 0; i < count; i++) {
    const slot = op.inputs[i] ?? last;
    if (slot === undefined) break;
    const input = inputs[i];
    if (input === undefined) {
      if (slot.optional !== true) {
        problems.push(`${slot.name} is required`);
        dtypeOnly = false;
      }
      continue;
    }
    if (!slot.dtypes.includes(input.dtype)) {
      problems.push(`${slot.name} must be ${slot.dtypes.join(', ')}, got ${input.dtype}`);
    }
    const { rank } = slot;
    if (rank === undefined) continue;
    const [low, high] = typeof rank === 'number' ? [rank, rank] : rank;
    if (input.shape.length < low || input.shape.length > high) {
      problems.push(
        `${slot.name} must have ${describeRank(rank)}, got ${formatShape(input.shape)}`,
      );
      dtypeOnly = false;
    }
  }
  if (problems.length === 0) return;
  const message = `${op.name}: ${problems.join('; ')}.`;
  throw dtypeOnly ? new DTypeError(message) : new ShapeError(message);
}

/** Output specs of a call after all checks: slots first, then the op's own rule. */
export function inferOutputs<Attrs extends object>(
  op: Op<Attrs>,
  inputs: InputsOf<TensorSpec>,
  attrs: Attrs,
): readonly TensorSpec[] {
  checkSlots(op, inputs);
  return op.infer(inputs, attrs);
}

/** Work of a call: what the op declares, else the bytes of its inputs and outputs. */
export function callCost<Attrs extends object>(
  op: Op<Attrs>,
  inputs: InputsOf<TensorSpec>,
  attrs: Attrs,
  outputs: readonly TensorSpec[],
): OpCost {
  if (op.cost !== undefined) return op.cost(inputs, attrs, outputs);
  let bytes = 0;
  for (const spec of [...inputs, ...outputs]) {
    if (spec !== undefined) bytes += sizeOf(spec.shape) * bytesPerElement(spec.dtype);
  }
  return { flops: 0, bytes };
}

/** A `ShapeError` in the house form: `op: arg must be expected, got [shape].` */
export function shapeMismatch(op: string, arg: string, expected: string, got: Shape): ShapeError {
  return new ShapeError(`${op}: ${arg} must be ${expected}, got ${formatShape(got)}.`);
}

/**
 * Requires all given inputs to share one dtype and returns it.
 *
 * @throws DTypeError naming the first input that differs.
 */
export function commonDType(op: Op, inputs: InputsOf<TensorSpec>, ...slots: number[]): DType {
  const chosen = slots.length > 0 ? slots : inputs.map((_, i) => i);
  const first = inputs[chosen[0]!]!;
  for (const i of chosen) {
    const input = inputs[i];
    if (input === undefined || input.dtype === first.dtype) continue;
    const name = (index: number): string =>
      (op.inputs[Math.min(index, op.inputs.length - 1)] as InputSlot).name;
    throw new DTypeError(
      `${op.name}: ${name(i)} must have the dtype of ${name(chosen[0]!)} (${first.dtype}), got ${input.dtype}.`,
    );
  }
  return first.dtype;
}
