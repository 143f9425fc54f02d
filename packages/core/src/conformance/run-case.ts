/** Running one case on one device: every dtype, every strategy, twice each, and all that is checked on the way. */
import {
  allocateValues,
  decodeStorage,
  encodeStorage,
  type DType,
  type StorageArray,
} from '../dtype.ts';
import { Device, type ExecutionRecord } from '../device.ts';
import { UnsupportedOpError } from '../errors.ts';
import { callCost, inferOutputs, type HostTensor, type OpCost, type TensorSpec } from '../op.ts';
import { formatShape, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { caseDTypes, type ConformanceCase } from './case.ts';
import { compareOutput, NO_ERROR, type ErrorMetrics } from './compare.ts';
import { FencedBackend } from './fence.ts';
import { roundTo } from './fill.ts';
import { makeInputs, uploadInput, type CaseInput } from './layout.ts';

/** Outcome of a case for one dtype and one strategy. */
export interface CaseResult {
  readonly op: string;
  readonly case: string;
  /** The float dtype, or the dtype of the first input where the case fixes all dtypes. */
  readonly dtype: DType | undefined;
  /** The forced strategy; `undefined` for the backend's own choice. */
  readonly strategy: string | undefined;
  /** `skipped`: the device or strategy cannot run this; `excluded`: a named exclusion applies. */
  readonly status: 'passed' | 'failed' | 'skipped' | 'excluded';
  /** How the op ran; absent when it did not. */
  readonly path: ExecutionRecord['path'] | undefined;
  /** The worst over all outputs. */
  readonly metrics: ErrorMetrics;
  readonly cost: OpCost;
  /** Why it failed, was skipped or excluded; empty when it passed. */
  readonly message: string;
}

/** A case ready to be run or timed: what goes in, and what must come out. */
export interface PreparedCase {
  readonly inputs: readonly (CaseInput | undefined)[];
  readonly outputs: readonly TensorSpec[];
  readonly cost: OpCost;
}

/** Host inputs, output specs and cost of a case, `float` standing for `dtype`. */
export function prepareCase(testCase: ConformanceCase, dtype?: DType): PreparedCase {
  const { op, attrs } = testCase;
  const inputs = makeInputs(testCase, dtype);
  const outputs = inferOutputs(op, inputs, attrs);
  return { inputs, outputs, cost: callCost(op, inputs, attrs, outputs) };
}

/** What the reference kernel makes of a prepared case, rounded to the dtypes of its outputs. */
export function expectedOutputs(
  { op, attrs }: ConformanceCase,
  { inputs, outputs }: PreparedCase,
): HostTensor[] {
  const results = outputs.map(({ dtype, shape }): HostTensor => ({
    dtype,
    shape,
    data: allocateValues(dtype, sizeOf(shape)),
  }));
  op.reference(inputs, attrs, results);
  return results.map(({ dtype, shape, data }) => ({ dtype, shape, data: roundTo(dtype, data) }));
}

interface Attempt {
  readonly storages: readonly StorageArray[];
  readonly problems: readonly string[];
}

function sameBytes(a: StorageArray, b: StorageArray): boolean {
  const [left, right] = [a, b].map(
    (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  ) as [Uint8Array, Uint8Array];
  return left.length === right.length && left.every((byte, i) => byte === right[i]);
}

/** Same values element by element. NaNs are equal whatever their bits: those depend on how a platform compiles. */
function sameValues(dtype: DType, a: StorageArray, b: StorageArray): boolean {
  if (sameBytes(a, b)) return true;
  const [left, right] = [decodeStorage(dtype, a), decodeStorage(dtype, b)];
  return left.length === right.length && left.every((value, i) => Object.is(value, right[i]));
}

/** One execution on a fenced device. Every tensor it makes is disposed, whatever happens. */
async function attempt(
  device: Device,
  { op, attrs }: ConformanceCase,
  prepared: PreparedCase,
  strategy: string | undefined,
): Promise<Attempt> {
  const made = new Set<Tensor>();
  const bases: Tensor[] = [];
  const problems: string[] = [];
  const storages: StorageArray[] = [];
  try {
    const inputs = prepared.inputs.map((input) => {
      if (input === undefined) return undefined;
      const { base, tensor } = uploadInput(device, input);
      made.add(base).add(tensor);
      bases.push(base);
      return tensor;
    });
    const outputs = device.execute(op, inputs, attrs, strategy);
    for (const output of outputs) made.add(output);
    if (outputs.length !== prepared.outputs.length) {
      problems.push(`${prepared.outputs.length} outputs were declared, got ${outputs.length}`);
    }
    for (const [i, { dtype, shape }] of prepared.outputs.entries()) {
      const output = outputs[i];
      if (output === undefined) break;
      if (output.dtype !== dtype || !sameShape(output.shape, shape)) {
        problems.push(
          `output ${i} was declared ${dtype}${formatShape(shape)}, got ${output.dtype}${formatShape(output.shape)}`,
        );
      }
      storages.push(await output.data());
    }
    const given = prepared.inputs.filter((input) => input !== undefined);
    for (const [i, { base }] of given.entries()) {
      const before = encodeStorage(base.dtype, base.data);
      if (!sameBytes(before, await bases[i]!.data())) {
        problems.push(`input ${i} was overwritten`);
      }
    }
  } finally {
    for (const tensor of made) tensor.dispose();
  }
  return { storages, problems };
}

function worst(a: ErrorMetrics, b: ErrorMetrics): ErrorMetrics {
  return {
    nmse: Math.max(a.nmse, b.nmse),
    maxAbs: Math.max(a.maxAbs, b.maxAbs),
    maxRelative: Math.max(a.maxRelative, b.maxRelative),
    mismatches: a.mismatches + b.mismatches,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

type Outcome = Pick<CaseResult, 'status' | 'path' | 'metrics' | 'message'>;

/** Two executions, with different garbage in fresh memory, compared with the reference and each other. */
async function judge(
  device: Device,
  testCase: ConformanceCase,
  prepared: PreparedCase,
  expected: readonly HostTensor[],
  strategy: string | undefined,
): Promise<Outcome> {
  const fence = new FencedBackend(device.backend);
  const fenced = new Device(fence);
  let path: ExecutionRecord['path'] | undefined;
  fenced.onExecute = (record) => {
    if (record.op === testCase.op.name) path ??= record.path;
  };
  const problems: string[] = [];
  let metrics = NO_ERROR;
  let first: Attempt | undefined;
  let pooled = 0;
  for (const garbage of [0xff, 0x5a]) {
    fence.garbage = garbage;
    let run: Attempt;
    try {
      // A canary before the first buffer of the call, where backends place buffers in a row.
      fence.free(fence.allocate(0));
      run = await attempt(fenced, testCase, prepared, strategy);
      problems.push(...run.problems, ...(await fence.settle()));
      await fence.sync();
    } catch (error) {
      fence.abandon();
      if (strategy !== undefined && error instanceof UnsupportedOpError) {
        return { status: 'skipped', path: undefined, metrics, message: error.message };
      }
      return { status: 'failed', path, metrics, message: messageOf(error) };
    }
    for (const [i, storage] of run.storages.entries()) {
      const { dtype } = expected[i]!;
      const found = compareOutput(expected[i]!, decodeStorage(dtype, storage), testCase.tolerance);
      metrics = worst(metrics, found.metrics);
      const label = run.storages.length > 1 ? `output ${i}: ` : '';
      problems.push(...found.problems.map((problem) => label + problem));
    }
    const nowPooled = fence.memory().pooledBytes;
    if (first === undefined) {
      first = run;
      pooled = nowPooled;
      continue;
    }
    if (nowPooled < pooled) {
      problems.push(`the kernel kept ${pooled - nowPooled} bytes of device memory`);
    }
    run.storages.forEach((storage, i) => {
      if (!sameValues(expected[i]!.dtype, storage, first!.storages[i]!)) {
        problems.push(`output ${i} differs between two equal calls`);
      }
    });
  }
  const status = problems.length === 0 ? 'passed' : 'failed';
  return { status, path, metrics, message: [...new Set(problems)].join('; ') };
}

function unheldDType(
  inputs: readonly (TensorSpec | undefined)[],
  outputs: readonly TensorSpec[],
  held: readonly DType[],
): DType | undefined {
  return [...inputs, ...outputs].find((spec) => spec !== undefined && !held.includes(spec.dtype))
    ?.dtype;
}

/**
 * Runs a case for every float dtype of the device and every strategy of the kernel.
 *
 * Checked each time: dtype, shape and values of the outputs against the reference; equal bits from two calls;
 * that all elements are written, none past the end, and no input; that all memory is given back. A strategy
 * that throws `UnsupportedOpError` for a call is skipped; the backend's own choice may not.
 *
 * @returns one result for each dtype and strategy. Never rejects because of the tested backend.
 */
export async function runCase(device: Device, testCase: ConformanceCase): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  const { op } = testCase;
  const held = device.info.dtypes;
  for (const dtype of caseDTypes(testCase, held)) {
    const prepared = prepareCase(testCase, dtype);
    const { inputs, outputs, cost } = prepared;
    const label = dtype ?? inputs.find((input) => input !== undefined)?.dtype ?? outputs[0]?.dtype;
    const base = { op: op.name, case: testCase.name, dtype: label, cost };
    const missing = unheldDType(inputs, outputs, held);
    if (missing !== undefined) {
      const message = `${device.name} holds no ${missing}`;
      const rest = { strategy: undefined, path: undefined, metrics: NO_ERROR, message };
      results.push({ ...base, ...rest, status: 'skipped' });
      continue;
    }
    const expected = expectedOutputs(testCase, prepared);
    for (const strategy of [undefined, ...(device.backend.kernel(op)?.strategies ?? [])]) {
      const outcome = await judge(device, testCase, prepared, expected, strategy);
      results.push({ ...base, strategy, ...outcome });
    }
  }
  return results;
}
