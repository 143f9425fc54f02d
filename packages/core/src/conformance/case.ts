/** Conformance cases: calls of ops as data, shared by correctness runs, tests of bad input and benchmarks. */
import { FLOAT_DTYPES, type DType } from '../dtype.ts';
import type { Op } from '../op.ts';
import type { Shape } from '../shape.ts';

/** How the elements of an input are made; always from a seed, so a case is the same everywhere. */
export type Fill =
  /** Normal distribution; `scale` is the deviation (1 by default). */
  | { readonly kind: 'normal'; readonly scale?: number }
  /** Uniform in `[low, high)`, by default `[-1, 1)`. */
  | { readonly kind: 'uniform'; readonly low?: number; readonly high?: number }
  /** Uniform integers from `low` to `high`, both included. */
  | { readonly kind: 'integers'; readonly low: number; readonly high: number }
  /** These values, repeated until the tensor is full. */
  | { readonly kind: 'values'; readonly values: readonly number[] }
  /** A random one of these values for each element. */
  | { readonly kind: 'choice'; readonly values: readonly number[] }
  /** The awkward values of the dtype (NaN, infinities, zeros of both signs, extremes) among normal ones. */
  | { readonly kind: 'special' };

/**
 * How an input lies in memory when it is not contiguous; elements around it hold NaN or large integers.
 *
 * - `transposed`: the last two axes are swapped.
 * - `sliced`: the tensor is cut out of a larger one along its first and last axis.
 * - `unbound`: one of three tensors stacked along a second axis, like a query in a fused projection.
 * - `expanded`: the first axis repeats one slice with stride 0.
 */
export type ViewKind = 'transposed' | 'sliced' | 'unbound' | 'expanded';

/** One input of a case. */
export interface InputFill {
  readonly shape: Shape;
  /** `float` stands for every float dtype of the device, the same for all inputs of a run. */
  readonly dtype: 'float' | DType;
  readonly fill: Fill;
  readonly view?: ViewKind;
}

/** Bounds on the error of float outputs. Integer and bool outputs must always be equal. */
export interface Tolerance {
  /** Sum of squared errors by sum of squared expected values. */
  readonly nmse: number;
  /** Largest error of an element by `max(1, |expected|)`. */
  readonly maxAbs: number;
  /** Largest error of an element by `|expected|`, where small results must be precise too. */
  readonly maxRelative?: number;
}

/** Bounds by dtype of the output. */
export type Tolerances = Readonly<Partial<Record<DType, Tolerance>>>;

/** A call of an op with everything that is needed to make and judge it. */
export interface ConformanceCase {
  readonly op: Op;
  /** Unique among the cases of the op. */
  readonly name: string;
  /** By slot; `undefined` leaves an optional input out. */
  readonly inputs: readonly (InputFill | undefined)[];
  readonly attrs: object;
  /** Replaces `DEFAULT_TOLERANCES` for the dtypes it names. */
  readonly tolerance?: Tolerances;
  /** Names of numeric attributes that take every number, NaN included; tests of bad input leave them alone. */
  readonly freeAttrs?: readonly string[];
}

/**
 * Bounds that a kernel with f32 accumulation keeps with room to spare: a few roundings of the stored dtype,
 * and for f32 the reordering of sums.
 */
export const DEFAULT_TOLERANCES: Readonly<Record<'f32' | 'f16' | 'bf16', Tolerance>> = {
  f32: { nmse: 1e-11, maxAbs: 2e-5 },
  f16: { nmse: 1e-6, maxAbs: 2e-3 },
  bf16: { nmse: 5e-5, maxAbs: 1.6e-2 },
};

const EQUAL: Tolerance = { nmse: 0, maxAbs: 0 };

/** For ops that move or select values: every element is equal. */
export const EXACT: Tolerances = { f32: EQUAL, f16: EQUAL, bf16: EQUAL };

/** For elementwise functions: also small results are correct to a few units in the last place. */
export const ELEMENTWISE: Tolerances = {
  f32: { nmse: 1e-12, maxAbs: 4e-6, maxRelative: 4e-6 },
  f16: { nmse: 1e-6, maxAbs: 1e-3, maxRelative: 1e-3 },
  bf16: { nmse: 5e-5, maxAbs: 8e-3, maxRelative: 8e-3 },
};

/** For transcendental functions: good to an error of 4e-6, however small the result. */
export const FUNCTION: Tolerances = {
  f32: { nmse: 1e-11, maxAbs: 4e-6 },
  f16: { nmse: 1e-6, maxAbs: 1e-3 },
  bf16: { nmse: 5e-5, maxAbs: 8e-3 },
};

/** Parts of a case that most cases leave out. */
export type CaseExtras = Pick<ConformanceCase, 'tolerance' | 'freeAttrs'>;

/** A case whose attributes are checked against its op. */
export function conformanceCase<Attrs extends object>(
  op: Op<Attrs>,
  name: string,
  inputs: readonly (InputFill | undefined)[],
  attrs: Attrs,
  extras: CaseExtras = {},
): ConformanceCase {
  return { op, name, inputs, attrs, ...extras };
}

/** A float input of this shape, normally distributed unless `fill` says otherwise. */
export function floats(shape: Shape, fill: Fill = { kind: 'normal' }, view?: ViewKind): InputFill {
  return { shape, dtype: 'float', fill, ...(view === undefined ? {} : { view }) };
}

/** An f32 input, whatever dtype the float inputs take. */
export function singles(shape: Shape, fill: Fill = { kind: 'normal' }): InputFill {
  return { shape, dtype: 'f32', fill };
}

/** An i32 input holding exactly these values. */
export function indices(shape: Shape, values: readonly number[]): InputFill {
  return { shape, dtype: 'i32', fill: { kind: 'values', values } };
}

/** An input of random integers from `low` to `high`. */
export function integers(
  shape: Shape,
  low: number,
  high: number,
  dtype: DType = 'i32',
  view?: ViewKind,
): InputFill {
  const fill: Fill = { kind: 'integers', low, high };
  return { shape, dtype, fill, ...(view === undefined ? {} : { view }) };
}

/** The same input in another memory layout. */
export function viewed(input: InputFill, view: ViewKind): InputFill {
  return { ...input, view };
}

/** The float dtypes for which a case runs on a device holding `held`; one `undefined` when no input is `float`. */
export function caseDTypes(
  testCase: ConformanceCase,
  held: readonly DType[],
): (DType | undefined)[] {
  const generic = testCase.inputs.some((input) => input?.dtype === 'float');
  return generic ? FLOAT_DTYPES.filter((dtype) => held.includes(dtype)) : [undefined];
}

/** Names of the ops that have no case. */
export function opsWithoutCases(ops: readonly Op[], cases: readonly ConformanceCase[]): string[] {
  const covered = new Set(cases.map(({ op }) => op.name));
  return ops.map(({ name }) => name).filter((name) => !covered.has(name));
}

/**
 * The short cut of a suite: the first two cases of each op. By convention the first case of an op is a plain call
 * of moderate size.
 */
export function quickCases(cases: readonly ConformanceCase[]): ConformanceCase[] {
  const taken = new Map<string, number>();
  return cases.filter(({ op }) => {
    const count = (taken.get(op.name) ?? 0) + 1;
    taken.set(op.name, count);
    return count <= 2;
  });
}
