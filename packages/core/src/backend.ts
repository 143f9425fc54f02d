/** The contract between the catalogue and a backend: memory, transfers, and one kernel per op. */
import type { DType } from './dtype.ts';
import type { HostTensor, InputsOf, Op, TensorLayout, TensorSpec } from './op.ts';

/** Device memory. Backends extend it with their handle; nobody else looks inside. */
export interface DeviceBuffer {
  readonly bytes: number;
}

/** A buffer and the element at which a tensor starts in it. */
export interface Binding<B extends DeviceBuffer = DeviceBuffer> {
  readonly buffer: B;
  /** In elements of the tensor's dtype. */
  readonly offset: number;
}

/** A checked call, as kernels see it while planning: no memory, only layouts. */
export interface KernelCall<Attrs extends object = object> {
  readonly inputs: InputsOf<TensorLayout>;
  /** Outputs are always fresh and contiguous. */
  readonly outputs: readonly TensorSpec[];
  readonly attrs: Attrs;
}

/**
 * One op on one backend. Shapes and dtypes were checked by the op's declaration; a kernel never checks them again.
 *
 * `Context` is the backend's own state (a wasm instance, a GPU device), handed to every method that needs it.
 */
export interface Kernel<
  Context = unknown,
  B extends DeviceBuffer = DeviceBuffer,
  Attrs extends object = object,
  Plan = unknown,
> {
  /** Name of the op. */
  readonly op: string;
  /** Names of the strategies that tests and benchmarks can force; `prepare` picks one when none is forced. */
  readonly strategies?: readonly string[];
  /** True, or the reason why this call is not supported (the catalogue then falls back). */
  supports(call: KernelCall<Attrs>, context: Context): true | string;
  /** Whether strided inputs are read in place; when absent or false, inputs arrive contiguous. */
  acceptsStrides?(call: KernelCall<Attrs>): boolean;
  /**
   * Picks a strategy and compiles. Cached by op, layouts, attributes and strategy.
   *
   * @throws UnsupportedOpError when a forced strategy does not serve this call.
   */
  prepare(call: KernelCall<Attrs>, context: Context, strategy: string | undefined): Plan;
  /** Enqueues the work. Offsets may differ between runs of one plan; everything else is as planned. */
  run(
    plan: Plan,
    inputs: InputsOf<Binding<B>>,
    outputs: readonly Binding<B>[],
    context: Context,
  ): void;
}

/** What a backend says of its hardware. */
export interface DeviceInfo {
  /** One line for people: adapter or processor, driver, threads. */
  readonly description: string;
  /** Dtypes that tensors may have here. */
  readonly dtypes: readonly DType[];
  /**
   * Named capabilities, e.g. `simd`, `threads`, `subgroups`. Two names mean the same on every backend: `f16` (half
   * precision is computed at least as fast as single) and `software` (a GPU interface emulated on the processor).
   */
  readonly features: readonly string[];
  /** Largest single allocation in bytes. */
  readonly maxBufferBytes: number;
  /** All memory that tensors may use, in bytes, where the device says so. */
  readonly memoryBytes?: number;
}

/** Memory that the backend holds beyond live tensors. */
export interface BackendMemory {
  /** Freed by tensors, kept for reuse. */
  readonly pooledBytes: number;
}

/** Device work that was recorded and can be run again. */
export interface Recording {
  /** Device commands of one replay. */
  readonly commands: number;
  /** Enqueues the recorded work once more. */
  replay(): void;
  /**
   * Gives the memory of the recording back. Tensors made while recording live on until they are disposed.
   */
  dispose(): void;
}

/**
 * A device as the catalogue drives it. Calls to `run`, `upload` and `free` take effect in the order they were made;
 * `download` and `sync` wait for everything before them.
 */
export interface Backend<Context = unknown, B extends DeviceBuffer = DeviceBuffer> {
  /** Short identifier: `cpu`, `webgpu`, `cuda`, `null`. */
  readonly name: string;
  readonly info: DeviceInfo;
  readonly context: Context;
  /** The kernel table; ops without an entry use the fallbacks of the catalogue. */
  kernel(op: Op): Kernel<Context, B> | undefined;
  /**
   * Plain host execution of an op, for backends whose memory the host can address.
   * Used when there is no kernel; backends without it fall back to the op's decomposition.
   */
  reference?(
    op: Op,
    call: KernelCall,
    inputs: InputsOf<Binding<B>>,
    outputs: readonly Binding<B>[],
  ): void;
  /** @throws OutOfMemoryError when the device has no room. Contents are undefined. */
  allocate(bytes: number): B;
  /** Returns memory to the pool. Work enqueued earlier may still use it safely. */
  free(buffer: B): void;
  upload(buffer: B, byteOffset: number, source: Uint8Array): void;
  download(buffer: B, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Resolves when all enqueued work is done. @throws DeviceLostError when the device went away. */
  sync(): Promise<void>;
  memory(): BackendMemory;
  /**
   * Runs `body`, which enqueues work and never waits, and records that work. It runs once here as well. Memory that
   * `body` allocates keeps its contents out of everybody else's reach until the recording is disposed; data uploaded by
   * `body` is uploaded again by each replay. Absent where replaying saves nothing.
   *
   * @throws what `body` throws; nothing is recorded then.
   */
  record?(body: () => void): Recording;
  /** Gives pooled memory back to the system where that is possible. */
  trim?(): void;
  dispose(): void;
}

export type { HostTensor };
