/**
 * The null backend: checks and plans every call, computes nothing and holds no data.
 *
 * It answers what a network would cost before a device is asked to run it, and is the smallest complete backend.
 */
import type {
  Backend,
  BackendMemory,
  Binding,
  DeviceBuffer,
  DeviceInfo,
  Kernel,
} from '../backend.ts';
import { Device } from '../device.ts';
import { DTYPES, type DType } from '../dtype.ts';
import { OutOfMemoryError, UnsupportedOpError } from '../errors.ts';
import { callCost, type Op, type OpCost, type TensorSpec } from '../op.ts';
import { Plan } from './plan.ts';

/** Memory that is counted but does not exist. */
export interface NullBuffer extends DeviceBuffer {
  /** What a read of one element gives: the upper bound of a count that an op would have computed. */
  bound?: number;
}

/** Options of `createNullDevice`. */
export interface NullDeviceOptions {
  /** Dtypes that the planned device holds; all by default. */
  readonly dtypes?: readonly DType[];
  /** Bytes that all tensors together may take; unlimited by default. */
  readonly memoryBytes?: number;
  /** Names of ops without a kernel: they are planned by their decomposition. None by default. */
  readonly withoutKernels?: readonly string[];
}

/** Counts stand in an i32 of shape [1] beside outputs that have room for the most rows. */
function isCount(spec: TensorSpec, outputs: readonly TensorSpec[]): boolean {
  const { dtype, shape } = spec;
  return outputs.length > 1 && dtype === 'i32' && shape.length === 1 && shape[0] === 1;
}

function mostRows(outputs: readonly TensorSpec[]): number {
  return Math.max(...outputs.map(({ shape }) => shape[0] ?? 1));
}

// A plan of this backend is the cost of the call and everything that `run` notes down.
interface NullPlan {
  readonly op: string;
  readonly inputs: readonly (TensorSpec | undefined)[];
  readonly outputs: readonly TensorSpec[];
  readonly attrs: object;
  readonly cost: OpCost;
}

/** The kernel of any op: supports every call, reads all strides, and writes into the plan. */
function nullKernel(op: Op): Kernel<NullBackend, NullBuffer, object, NullPlan> {
  return {
    op: op.name,
    supports: () => true,
    acceptsStrides: () => true,
    prepare: ({ inputs, outputs, attrs }) => ({
      op: op.name,
      inputs: inputs.map((input) => input && { dtype: input.dtype, shape: input.shape }),
      outputs,
      attrs,
      cost: callCost(op, inputs, attrs, outputs),
    }),
    run: (plan, _inputs, outputs, backend) => backend.note(plan, outputs),
  };
}

class NullBackend implements Backend<NullBackend, NullBuffer> {
  readonly name = 'null';
  readonly info: DeviceInfo;
  readonly plan: Plan = new Plan();
  readonly #kernels: Map<string, Kernel<NullBackend, NullBuffer>> = new Map();
  readonly #without: readonly string[];
  readonly #memoryBytes: number;
  #liveBytes = 0;

  constructor({ dtypes = DTYPES, memoryBytes = Infinity, withoutKernels = [] }: NullDeviceOptions) {
    this.#without = withoutKernels;
    this.#memoryBytes = memoryBytes;
    this.info = {
      description: 'plans without computing',
      dtypes,
      features: [],
      maxBufferBytes: memoryBytes,
      ...(memoryBytes === Infinity ? {} : { memoryBytes }),
    };
  }

  /** Kernels of this backend need no state but the backend itself. */
  get context(): NullBackend {
    return this;
  }

  kernel(op: Op): Kernel<NullBackend, NullBuffer> | undefined {
    if (this.#without.includes(op.name)) return undefined;
    // One kernel object for each op: compiled plans are kept by it.
    let kernel = this.#kernels.get(op.name);
    if (kernel === undefined) {
      kernel = nullKernel(op);
      this.#kernels.set(op.name, kernel);
    }
    return kernel;
  }

  note(planned: NullPlan, outputs: readonly Binding<NullBuffer>[]): void {
    planned.outputs.forEach((spec, i) => {
      if (isCount(spec, planned.outputs)) outputs[i]!.buffer.bound = mostRows(planned.outputs);
    });
    this.plan.add({ ...planned, liveBytes: this.#liveBytes });
  }

  allocate(bytes: number): NullBuffer {
    if (this.#liveBytes + bytes > this.#memoryBytes) {
      throw new OutOfMemoryError(
        `null: no room for ${bytes} bytes (${this.#liveBytes} of ${this.#memoryBytes} bytes in use).`,
      );
    }
    this.#liveBytes += bytes;
    this.plan.holds(this.#liveBytes);
    return { bytes };
  }

  free(buffer: NullBuffer): void {
    this.#liveBytes -= buffer.bytes;
  }

  upload(): void {}

  async download(
    { bound }: NullBuffer,
    _byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (bound !== undefined && byteLength === 4) return new Uint8Array(Int32Array.of(bound).buffer);
    throw new UnsupportedOpError(
      'null: data cannot be read, because nothing is computed (only counts have an upper bound).',
    );
  }

  async sync(): Promise<void> {}

  memory(): BackendMemory {
    return { pooledBytes: 0 };
  }

  restartPlan(): void {
    this.plan.restart(this.#liveBytes);
  }

  dispose(): void {}
}

/** A device that plans. */
export class NullDevice extends Device {
  readonly #backend: NullBackend;

  /** @internal Made by `createNullDevice`. */
  constructor(options: NullDeviceOptions) {
    const backend = new NullBackend(options);
    super(backend);
    this.#backend = backend;
  }

  /** Everything that was asked of the device since it was made or `restartPlan` was called. */
  get plan(): Plan {
    return this.#backend.plan;
  }

  /** Empties the plan; its peak starts from what lives now. */
  restartPlan(): void {
    this.#backend.restartPlan();
  }
}

/**
 * Opens a device that checks every call and records it, with its cost, in `device.plan`, but computes nothing.
 *
 * Tensors have dtypes, shapes and lifetimes as on any device, and their memory is counted. Data given to it is
 * dropped. Reading data throws UnsupportedOpError, with one exception: ops whose result has a data-dependent size
 * report its upper bound, as if nothing had been left out. (Such ops have an i32 output of shape [1] for the size,
 * beside outputs with room for the most rows.)
 */
export function createNullDevice(options: NullDeviceOptions = {}): NullDevice {
  return new NullDevice(options);
}
