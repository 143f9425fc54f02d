/** Comparing an output with what the reference kernel expects, and saying readably where they differ. */
import { isFloat, type DType, type ValueArray } from '../dtype.ts';
import type { HostTensor } from '../op.ts';
import { formatShape, type Shape } from '../shape.ts';
import { DEFAULT_TOLERANCES, type Tolerance, type Tolerances } from './case.ts';

/** How far an output is from its reference. */
export interface ErrorMetrics {
  readonly nmse: number;
  /** Largest error by `max(1, |expected|)`. */
  readonly maxAbs: number;
  /** Largest error by `|expected|`. */
  readonly maxRelative: number;
  /** Elements that are unequal where they must be equal, or of another class (NaN, infinity, finite). */
  readonly mismatches: number;
}

/** A comparison and its verdict. */
export interface Comparison {
  readonly metrics: ErrorMetrics;
  /** Empty when the output conforms. */
  readonly problems: readonly string[];
}

export const NO_ERROR: ErrorMetrics = { nmse: 0, maxAbs: 0, maxRelative: 0, mismatches: 0 };

const SHOWN_POSITIONS = 5;
// Outputs whose mean square is below this are judged by absolute error: an expected zero has no relative one.
const MEAN_SQUARE_FLOOR = 1e-2;
// Relative errors are taken of no less than this: below it, numbers of the dtype lose bits or are flushed to zero.
const RELATIVE_FLOORS: Readonly<Partial<Record<DType, number>>> = { f16: 6.2e-5 };
const RELATIVE_FLOOR = 1e-30;

function placeOf(index: number, shape: Shape): number[] {
  const place = new Array<number>(shape.length);
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    place[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return place;
}

function sameClass(expected: number, actual: number): boolean {
  if (Number.isFinite(expected)) return Number.isFinite(actual);
  return Object.is(expected, actual);
}

function describePositions(
  positions: readonly number[],
  expected: HostTensor,
  actual: ValueArray,
): string {
  const shown = positions.slice(0, SHOWN_POSITIONS).map((index) => {
    const place = formatShape(placeOf(index, expected.shape));
    return `${place} expected ${expected.data[index]} got ${actual[index]}`;
  });
  const rest = positions.length - shown.length;
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function show(value: number): string {
  return value.toExponential(2);
}

/** Bounds for outputs of this dtype. */
export function toleranceFor(dtype: DType, tolerances: Tolerances | undefined): Tolerance {
  const defaults: Tolerances = DEFAULT_TOLERANCES;
  return tolerances?.[dtype] ?? defaults[dtype] ?? { nmse: 0, maxAbs: 0 };
}

/**
 * Compares an output with its reference, both of the dtype of `expected` and already rounded to it.
 *
 * @param tolerances bounds for float outputs; others must be equal.
 */
export function compareOutput(
  expected: HostTensor,
  actual: ValueArray,
  tolerances: Tolerances | undefined,
): Comparison {
  const exact = !isFloat(expected.dtype);
  const bounds = toleranceFor(expected.dtype, tolerances);
  const relativeFloor = RELATIVE_FLOORS[expected.dtype] ?? RELATIVE_FLOOR;
  const relativeBound = bounds.maxRelative ?? Infinity;
  const wrong: number[] = [];
  let mismatches = 0;
  let squaredError = 0;
  let squaredValue = 0;
  let maxAbs = 0;
  let maxRelative = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const want = expected.data[i]!;
    const got = actual[i]!;
    if (exact ? want !== got : !sameClass(want, got)) {
      mismatches++;
      wrong.push(i);
      continue;
    }
    if (exact || !Number.isFinite(want)) continue;
    const error = Math.abs(got - want);
    const magnitude = Math.abs(want);
    const absolute = error / Math.max(1, magnitude);
    const relative = error / Math.max(relativeFloor, magnitude);
    squaredError += error * error;
    squaredValue += magnitude * magnitude;
    if (absolute > maxAbs) maxAbs = absolute;
    if (relative > maxRelative) maxRelative = relative;
    if (absolute > bounds.maxAbs || relative > relativeBound) wrong.push(i);
  }
  const floor = MEAN_SQUARE_FLOOR * expected.data.length;
  // Squares of the largest floats overflow to infinity; the per-element bounds still hold then.
  const nmse = Number.isFinite(squaredError)
    ? squaredError / Math.max(squaredValue, floor, 1e-300)
    : 0;
  const metrics = { nmse, maxAbs, maxRelative, mismatches };
  const problems: string[] = [];
  if (mismatches > 0) {
    const what = exact ? 'differ' : 'differ in class (NaN, infinity, finite)';
    problems.push(`${mismatches} of ${expected.data.length} elements ${what}`);
  }
  if (nmse > bounds.nmse) problems.push(`NMSE ${show(nmse)} exceeds ${show(bounds.nmse)}`);
  if (maxAbs > bounds.maxAbs) {
    problems.push(`maximal error ${show(maxAbs)} exceeds ${show(bounds.maxAbs)}`);
  }
  if (maxRelative > relativeBound) {
    problems.push(`maximal relative error ${show(maxRelative)} exceeds ${show(relativeBound)}`);
  }
  if (wrong.length > 0) problems.push(describePositions(wrong, expected, actual));
  return { metrics, problems };
}
