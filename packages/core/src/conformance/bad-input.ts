/** Calls that must be refused, made from a valid case by spoiling one thing at a time. */
import { DTYPES, type DType } from '../dtype.ts';
import { Device } from '../device.ts';
import { DTypeError, InputError, PergolaError, ShapeError } from '../errors.ts';
import { inferOutputs, type InputSlot, type Op, type TensorSpec } from '../op.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { ConformanceCase, InputFill } from './case.ts';
import { FencedBackend } from './fence.ts';

/** A call that an op must refuse. */
export interface BadInputCase {
  readonly op: Op;
  /** What was spoiled, e.g. `weight of i32`. */
  readonly name: string;
  readonly inputs: readonly (InputFill | undefined)[];
  readonly attrs: object;
  /** One of these is thrown. */
  readonly errors: readonly (typeof PergolaError)[];
}

type Inputs = ConformanceCase['inputs'];

function slotOf(op: Op, index: number): InputSlot | undefined {
  return op.inputs[index] ?? op.inputs[op.inputs.length - 1];
}

function specOf({ shape, dtype }: InputFill): TensorSpec {
  return { shape, dtype: dtype === 'float' ? 'f32' : dtype };
}

/** True when the op's declaration refuses the call. */
function refuses(op: Op, inputs: Inputs, attrs: object): boolean {
  try {
    inferOutputs(
      op,
      inputs.map((input) => input && specOf(input)),
      attrs,
    );
    return false;
  } catch {
    return true;
  }
}

function replaced(inputs: Inputs, index: number, input: InputFill | undefined): Inputs {
  return inputs.map((own, i) => (i === index ? input : own));
}

function withDType(input: InputFill, dtype: DType): InputFill {
  return { ...input, dtype, fill: { kind: 'integers', low: 0, high: 1 } };
}

function withShape(input: InputFill, shape: readonly number[]): InputFill {
  return { ...input, shape };
}

/** dtypes outside the slot's list, and those inside it that do not go with the other inputs. */
function wrongDTypes({ op, inputs, attrs }: ConformanceCase): BadInputCase[] {
  return inputs.flatMap((input, i) => {
    const slot = slotOf(op, i);
    if (input === undefined || slot === undefined) return [];
    const name = `${slot.name} of `;
    return DTYPES.flatMap((dtype) => {
      const spoiled = replaced(inputs, i, withDType(input, dtype));
      if (slot.dtypes.includes(dtype) && !refuses(op, spoiled, attrs)) return [];
      // An integer tensor may also meet an attribute that only floats take.
      const errors = slot.dtypes.includes(dtype) ? [DTypeError, InputError] : [DTypeError];
      return [{ op, name: name + dtype, inputs: spoiled, attrs, errors }];
    });
  });
}

/** Ranks outside the slot's range, and extents that the declaration ties to others. */
function wrongShapes({ op, inputs, attrs }: ConformanceCase): BadInputCase[] {
  const cases: BadInputCase[] = [];
  for (const [i, input] of inputs.entries()) {
    const slot = slotOf(op, i);
    if (input === undefined || slot === undefined) continue;
    const spoil = (shape: number[], errors: BadInputCase['errors']): void => {
      const name = `${slot.name} of shape [${shape.join(', ')}]`;
      cases.push({ op, name, inputs: replaced(inputs, i, withShape(input, shape)), attrs, errors });
    };
    if (slot.rank !== undefined) {
      const [low, high] = typeof slot.rank === 'number' ? [slot.rank, slot.rank] : slot.rank;
      const { shape } = input;
      if (low > 0) spoil(shape.slice(shape.length - low + 1), [ShapeError]);
      spoil([...new Array<number>(high + 1 - shape.length).fill(1), ...shape], [ShapeError]);
    }
    for (const axis of input.shape.keys()) {
      for (const step of [1, -1]) {
        const shape = input.shape.map((extent, a) => (a === axis ? extent + step : extent));
        if (shape[axis]! < 0) continue;
        if (!refuses(op, replaced(inputs, i, withShape(input, shape)), attrs)) continue;
        // An attribute may be what no longer fits, such as a number of groups.
        spoil(shape, [ShapeError, InputError]);
      }
    }
  }
  return cases;
}

/** Inputs left out, and one too many. */
function wrongCounts({ op, inputs, attrs }: ConformanceCase): BadInputCase[] {
  const errors = [PergolaError];
  const cases: BadInputCase[] = [];
  for (const [i, input] of inputs.entries()) {
    const spoiled = replaced(inputs, i, undefined);
    if (input === undefined || !refuses(op, spoiled, attrs)) continue;
    cases.push({ op, name: `without ${slotOf(op, i)!.name}`, inputs: spoiled, attrs, errors });
  }
  const last = op.inputs[op.inputs.length - 1];
  if (last !== undefined && last.variadic !== true) {
    const filled = op.inputs.map((_, i) => inputs[i] ?? inputs[0]);
    const spoiled = [...filled, inputs[0]];
    cases.push({ op, name: 'one input too many', inputs: spoiled, attrs, errors });
  }
  return cases;
}

/** Values that an attribute may not have: those that must be refused, and those that the op happens to refuse. */
function spoiledValues(value: unknown, free: boolean): { must: unknown[]; may: unknown[] } {
  if (typeof value === 'number') {
    const odd = [Infinity, -1, 0.5];
    return free ? { must: [], may: [] } : { must: [NaN], may: odd };
  }
  if (typeof value === 'string') return { must: ['bogus'], may: [] };
  if (!Array.isArray(value) || value.length === 0) return { must: [], may: [] };
  const rest = value.slice(1) as unknown[];
  return {
    must: [[NaN, ...rest]],
    may: [[-1, ...rest], [0.5, ...rest], rest, [...(value as unknown[]), 1]],
  };
}

function wrongAttrs({ op, inputs, attrs, freeAttrs = [] }: ConformanceCase): BadInputCase[] {
  return Object.entries(attrs).flatMap(([key, value]) => {
    const { must, may } = spoiledValues(value, freeAttrs.includes(key));
    const refused = may.filter((other) => refuses(op, inputs, { ...attrs, [key]: other }));
    return [...must, ...refused].map((other): BadInputCase => {
      const shown = Array.isArray(other) ? `[${other.join(', ')}]` : String(other);
      const name = `${key} = ${shown}`;
      return { op, name, inputs, attrs: { ...attrs, [key]: other }, errors: [PergolaError] };
    });
  });
}

/**
 * Every way to spoil a valid call: each input with each dtype that its slot does not list, with wrong ranks and
 * with extents that no longer fit; inputs missing or too many; attributes not finite, unknown or out of range.
 *
 * Extents and attributes count as wrong where the declaration refuses them; NaN and unknown names always do
 * (`freeAttrs` of the case excepted).
 *
 * @param testCase a valid case of the op; by convention its first.
 */
export function badInputCases(op: Op, testCase: ConformanceCase): BadInputCase[] {
  const own = { ...testCase, op };
  return [...wrongDTypes(own), ...wrongShapes(own), ...wrongCounts(own), ...wrongAttrs(own)];
}

function judgeError(error: unknown, { op, errors }: BadInputCase): string {
  if (!errors.some((type) => error instanceof type)) {
    const wanted = errors.map(({ name }) => name).join(' or ');
    return `must throw ${wanted}, got ${String(error)}`;
  }
  const { message } = error as Error;
  const sentence = message.startsWith(`${op.name}: `) && /^[^\n]+[^.]\.$/.test(message);
  if (sentence && !/[.!?]\s+[A-Z]/.test(message)) return '';
  return `must throw one sentence of the form "${op.name}: ….", got "${message}"`;
}

/**
 * Makes a bad call on a device and checks how it is refused.
 *
 * @returns what is wrong, or an empty text: the right error with one clear sentence, no work on the device, no
 * memory left behind. Calls with a dtype that the device does not hold cannot be made and pass.
 */
export async function checkBadInput(device: Device, bad: BadInputCase): Promise<string> {
  const fence = new FencedBackend(device.backend);
  const watched = new Device(fence);
  const inputs: (Tensor | undefined)[] = [];
  let problem = '';
  try {
    for (const input of bad.inputs) {
      const spec = input && specOf(input);
      if (spec !== undefined && !watched.supportsDType(spec.dtype)) return '';
      const data = new Array<number>(sizeOf(spec?.shape ?? [])).fill(1);
      inputs.push(spec && watched.tensor(data, spec.shape, spec.dtype));
    }
    const { calls } = fence;
    try {
      for (const output of watched.execute(bad.op, inputs, bad.attrs)) output.dispose();
      problem = 'must be refused, was run';
    } catch (error) {
      problem = judgeError(error, bad);
      if (problem === '' && fence.calls !== calls) problem = 'must not reach the device, did';
    }
  } finally {
    for (const input of inputs) input?.dispose();
    const [left] = await fence.settle();
    if (problem === '' && left !== undefined) problem = left;
  }
  return problem;
}
