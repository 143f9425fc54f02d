/** Devices: tensor creation, lifetimes, and the dispatch of ops to a backend's kernels. */
import type { Backend, Binding, DeviceInfo, Kernel, KernelCall } from './backend.ts';
import { bytesPerElement, viewStorage, type DType, type StorageArray } from './dtype.ts';
import { DTypeError, InputError, LifetimeError, ShapeError, UnsupportedOpError } from './errors.ts';
import { defaultDType, toStorage } from './host-data.ts';
import {
  callCost,
  inferOutputs,
  type InputsOf,
  type Op,
  type OpCost,
  type TensorSpec,
} from './op.ts';
import { copyOp } from './ops/copy.ts';
import { PlanCache } from './plan-cache.ts';
import { Scope } from './scope.ts';
import { checkShape, formatShape, sizeOf, type Shape } from './shape.ts';
import { Tensor, type Resource, type Storage } from './tensor.ts';

/** Device memory in bytes. */
export interface MemoryReport {
  /** Held by live tensors. */
  readonly liveBytes: number;
  /** Highest `liveBytes` since the device was made or `resetPeak()` was called. */
  readonly peakBytes: number;
  /** Freed by tensors but kept for reuse. */
  readonly pooledBytes: number;
  /** Live storages. */
  readonly storages: number;
}

/** One executed op, as `device.onExecute` reports it. */
export interface ExecutionRecord {
  readonly op: string;
  readonly path: 'kernel' | 'reference' | 'decomposition';
  /** Estimate of the work; nothing for a decomposition, whose parts are reported themselves. */
  readonly cost: OpCost;
}

/** What the safety net needs to free a collected tensor and to say which one it was; never the tensor itself. */
interface Remains {
  readonly storage: Storage;
  readonly dtype: DType;
  readonly shape: Shape;
}

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}

/**
 * A backend with its tensors. All work on one device happens in the order of the calls.
 *
 * Scopes nest like function calls. Two asynchronous scopes on one device must not overlap: run such work one after
 * another, or on two devices.
 */
export class Device implements Disposable {
  readonly backend: Backend;
  /** Observer of every executed op; for tests and profiling. */
  onExecute: ((record: ExecutionRecord) => void) | undefined;
  /** Told of every tensor that the garbage collector had to free because nobody disposed it; for development. */
  onLeak: ((description: string) => void) | undefined;
  readonly #scopes: Scope[] = [];
  readonly #scopeOf: Map<Resource, Scope> = new Map();
  readonly #plans: PlanCache = new PlanCache();
  readonly #registry: FinalizationRegistry<Remains>;
  #liveBytes = 0;
  #peakBytes = 0;
  #storages = 0;
  #disposed = false;

  constructor(backend: Backend) {
    this.backend = backend;
    this.#registry = new FinalizationRegistry(({ storage, dtype, shape }) => {
      this.#dropReference(storage);
      if (this.#disposed) return;
      this.onLeak?.(`${dtype}${formatShape(shape)} on ${this.name} was never disposed.`);
    });
  }

  /** The backend's name: `cpu`, `webgpu`, `cuda`, `null`. */
  get name(): string {
    return this.backend.name;
  }

  get info(): DeviceInfo {
    return this.backend.info;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** True when tensors of this dtype can live here. */
  supportsDType(dtype: DType): boolean {
    return this.backend.info.dtypes.includes(dtype);
  }

  #checkOpen(): void {
    if (this.#disposed) throw new LifetimeError(`device ${this.name}: was disposed.`);
  }

  // -- creation -------------------------------------------------------------------------------------------------

  /** @internal Uninitialised memory for a tensor. */
  empty(dtype: DType, shape: Shape): Tensor {
    this.#checkOpen();
    checkShape('tensor', shape);
    if (!this.supportsDType(dtype)) {
      throw new DTypeError(
        `tensor: ${this.name} holds ${this.info.dtypes.join(', ')}, not ${dtype}.`,
      );
    }
    const buffer = this.backend.allocate(sizeOf(shape) * bytesPerElement(dtype));
    this.#liveBytes += buffer.bytes;
    this.#storages++;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    return new Tensor(this, { buffer, references: 0 }, dtype, shape);
  }

  /**
   * A tensor from host data, row-major.
   *
   * A typed array is taken as raw elements of its dtype; numbers (and an `f32` array given for `f16` or `bf16`) are
   * converted, half types rounding to nearest even. `dtype` defaults to `f32` for numbers and `Float32Array`, else
   * to the array's own type.
   *
   * @throws ShapeError when the length is not the shape's size; DTypeError when the array does not fit the dtype.
   */
  tensor(data: StorageArray | readonly number[], shape: Shape, dtype?: DType): Tensor {
    checkShape('tensor', shape);
    if (data.length !== sizeOf(shape)) {
      throw new ShapeError(
        `tensor: ${formatShape(shape)} needs ${sizeOf(shape)} elements, got ${data.length}.`,
      );
    }
    const target = dtype ?? defaultDType(data);
    const storage = toStorage(target, data);
    const tensor = this.empty(target, shape);
    const bytes = new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength);
    if (bytes.length > 0) this.backend.upload(tensor.storage.buffer, 0, bytes);
    return tensor;
  }

  /** A one-element tensor of shape `[]`. */
  scalar(value: number, dtype: DType = 'f32'): Tensor {
    return this.tensor([value], [], dtype);
  }

  // -- reading --------------------------------------------------------------------------------------------------

  /** @internal `tensor.data()`. */
  async read(tensor: Tensor): Promise<StorageArray> {
    this.#checkOpen();
    const source = tensor.toContiguous();
    try {
      const size = bytesPerElement(tensor.dtype);
      const bytes =
        tensor.size === 0
          ? new Uint8Array(0)
          : await this.backend.download(
              source.storage.buffer,
              source.offset * size,
              source.size * size,
            );
      return viewStorage(tensor.dtype, bytes.buffer, bytes.byteOffset, tensor.size);
    } finally {
      source.dispose();
    }
  }

  /** Resolves when all enqueued work is done. */
  async sync(): Promise<void> {
    this.#checkOpen();
    await this.backend.sync();
  }

  // -- lifetimes ------------------------------------------------------------------------------------------------

  /** Opens a scope: `using scope = device.scope()`. */
  scope(): Scope {
    this.#checkOpen();
    const scope = new Scope(this);
    this.#scopes.push(scope);
    return scope;
  }

  /**
   * Runs `body` in a scope: every tensor and resource made inside is freed at its end, except those in the value
   * it returns. Asynchronous bodies are awaited; their scope stays open until they settle.
   */
  run<T>(body: () => T): T {
    const scope = this.scope();
    let pending = false;
    try {
      const result = body();
      pending = isPromise(result);
      if (!isPromise(result)) return scope.keep(result);
      return result.then((value) => scope.keep(value)).finally(() => scope.dispose()) as T;
    } finally {
      if (!pending) scope.dispose();
    }
  }

  /** Puts a resource into the innermost open scope, out of any other. */
  track(resource: Resource): void {
    this.detach(resource);
    this.#enter(resource);
  }

  #enter(resource: Resource): void {
    const scope = this.#scopes[this.#scopes.length - 1];
    if (scope === undefined) return;
    scope.add(resource);
    this.#scopeOf.set(resource, scope);
  }

  /** Takes a resource out of its scope: it lives until it is disposed. */
  detach(resource: Resource): void {
    this.#scopeOf.get(resource)?.delete(resource);
    this.#scopeOf.delete(resource);
  }

  /** @internal Moves a resource from `scope` to the scope around it. */
  promote(resource: Resource, scope: Scope): void {
    if (this.#scopeOf.get(resource) !== scope) return;
    this.detach(resource);
    const outer = this.#scopes[this.#scopes.indexOf(scope) - 1];
    if (outer === undefined) return;
    outer.add(resource);
    this.#scopeOf.set(resource, outer);
  }

  /** @internal */
  closeScope(scope: Scope): void {
    const at = this.#scopes.indexOf(scope);
    if (at >= 0) this.#scopes.splice(at, 1);
  }

  /** @internal Called by each new tensor. */
  adopt(tensor: Tensor, storage: Storage): void {
    const { dtype, shape } = tensor;
    this.#registry.register(tensor, { storage, dtype, shape }, tensor);
    this.#enter(tensor);
  }

  /** @internal Called by `tensor.dispose()`. */
  release(tensor: Tensor, storage: Storage): void {
    this.#registry.unregister(tensor);
    this.detach(tensor);
    this.#dropReference(storage);
  }

  #dropReference(storage: Storage): void {
    storage.references--;
    if (storage.references > 0 || this.#disposed) return;
    this.#liveBytes -= storage.buffer.bytes;
    this.#storages--;
    this.backend.free(storage.buffer);
  }

  /** Live, peak and pooled memory of this device. */
  memory(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      pooledBytes: this.backend.memory().pooledBytes,
      storages: this.#storages,
    };
  }

  /** Restarts the peak from what is live now. */
  resetPeak(): void {
    this.#peakBytes = this.#liveBytes;
  }

  /** Frees the backend. Tensors of this device become unusable. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#plans.clear();
    this.#scopeOf.clear();
    this.#scopes.length = 0;
    this.backend.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // -- dispatch -------------------------------------------------------------------------------------------------

  /** @internal `tensor.toContiguous()` of a strided tensor. */
  makeContiguous(tensor: Tensor): Tensor {
    return this.execute(copyOp, [tensor], {})[0]!;
  }

  /**
   * Checks a call against its declaration, then runs it: the backend's kernel, else its host reference, else the
   * op's decomposition.
   *
   * @param strategy forces one of the kernel's strategies; an unknown name is an InputError.
   * @throws UnsupportedOpError when none of the three exists for this call, or the kernel of a forced strategy does not
   *   support it.
   */
  execute<Attrs extends object>(
    op: Op<Attrs>,
    inputs: InputsOf<Tensor>,
    attrs: Attrs,
    strategy?: string,
  ): Tensor[] {
    this.#checkOpen();
    for (const input of inputs) {
      if (input !== undefined && input.device !== this) {
        throw new LifetimeError(
          `${op.name}: inputs must be on one device, got ${this.name} and ${input.device.name}; move one with tensor.to(device).`,
        );
      }
      void input?.storage;
    }
    const outputs = inferOutputs(op, inputs, attrs);
    const kernel = this.backend.kernel(op);
    checkStrategy(op, kernel, strategy);
    const strided = { inputs, outputs, attrs };
    let reason = 'it has no kernel for this op';
    if (kernel !== undefined) {
      // Copying is how strided inputs become contiguous: it cannot wait for that itself.
      const keepStrides = op.name === copyOp.name || kernel.acceptsStrides?.(strided) === true;
      return this.#withInputs(inputs, keepStrides, (ready) => {
        const call: KernelCall<Attrs> = { inputs: ready, outputs, attrs };
        const supported = kernel.supports(call, this.backend.context);
        if (supported === true) {
          this.onExecute?.({
            op: op.name,
            path: 'kernel',
            cost: callCost(op, ready, attrs, outputs),
          });
          return this.#runKernel(op, kernel, call, ready, strategy);
        }
        if (strategy !== undefined) {
          throw new UnsupportedOpError(
            `${op.name}: strategy ${strategy} cannot run this call: ${supported}.`,
          );
        }
        reason = supported;
        return this.#runFallback(op, call, ready, reason);
      });
    }
    return this.#withInputs(inputs, op.name === copyOp.name, (ready) =>
      this.#runFallback(op, { inputs: ready, outputs, attrs }, ready, reason),
    );
  }

  /** Calls `body` with contiguous inputs (unless strides are kept) and frees the copies made for it. */
  #withInputs(
    inputs: InputsOf<Tensor>,
    keepStrides: boolean,
    body: (ready: InputsOf<Tensor>) => Tensor[],
  ): Tensor[] {
    if (keepStrides || inputs.every((input) => input === undefined || input.contiguous)) {
      return body(inputs);
    }
    const copies: Tensor[] = [];
    try {
      const ready = inputs.map((input) => {
        if (input === undefined || input.contiguous) return input;
        const copy = this.makeContiguous(input);
        copies.push(copy);
        return copy;
      });
      return body(ready);
    } finally {
      for (const copy of copies) copy.dispose();
    }
  }

  /** Fresh outputs, written by `work`; where all are empty there is nothing to do. */
  #produce(specs: readonly TensorSpec[], work: (outputs: readonly Binding[]) => void): Tensor[] {
    const made: Tensor[] = [];
    try {
      for (const { dtype, shape } of specs) made.push(this.empty(dtype, shape));
      if (made.some((output) => output.size > 0)) work(made.map(bindOne));
      return made;
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      throw error;
    }
  }

  #runKernel(
    op: Op,
    kernel: Kernel,
    call: KernelCall,
    inputs: InputsOf<Tensor>,
    strategy: string | undefined,
  ): Tensor[] {
    const { context } = this.backend;
    return this.#produce(call.outputs, (outputs) => {
      const plan = this.#plans.prepare(op.name, kernel, call, context, strategy);
      kernel.run(plan, bind(inputs), outputs, context);
    });
  }

  /** @internal `assign`. Both are known to fit. */
  copyInto(target: Tensor, source: Tensor): void {
    this.#checkOpen();
    const { backend } = this;
    const call: KernelCall = { inputs: [source], outputs: [target], attrs: {} };
    const kernel = backend.kernel(copyOp);
    if (kernel?.supports(call, backend.context) === true) {
      const plan = this.#plans.prepare(copyOp.name, kernel, call, backend.context, undefined);
      kernel.run(plan, bind([source]), [bindOne(target)], backend.context);
    } else if (backend.reference !== undefined) {
      backend.reference(copyOp, call, bind([source]), [bindOne(target)]);
    } else {
      throw new UnsupportedOpError(`assign: ${this.name} cannot copy ${String(source)}.`);
    }
  }

  #runFallback(op: Op, call: KernelCall, inputs: InputsOf<Tensor>, reason: string): Tensor[] {
    const { backend } = this;
    if (backend.reference !== undefined) {
      this.onExecute?.({
        op: op.name,
        path: 'reference',
        cost: callCost(op, inputs, call.attrs, call.outputs),
      });
      return this.#produce(call.outputs, (outputs) =>
        backend.reference!(op, call, bind(inputs), outputs),
      );
    }
    if (op.decompose !== undefined) {
      this.onExecute?.({ op: op.name, path: 'decomposition', cost: { flops: 0, bytes: 0 } });
      // Simpler ops may have no result over no elements, where the whole has an empty one.
      if (call.outputs.every(({ shape }) => sizeOf(shape) === 0)) {
        return this.#produce(call.outputs, () => {});
      }
      return this.run(() => [...op.decompose!(inputs, call.attrs)]);
    }
    const dtypes = call.inputs.map((input) => input?.dtype ?? 'none').join(', ');
    throw new UnsupportedOpError(
      `${op.name}: ${this.name} cannot run it for (${dtypes}): ${reason}.`,
    );
  }
}

function bindOne(tensor: Tensor): Binding {
  return { buffer: tensor.storage.buffer, offset: tensor.offset };
}

function bind(inputs: InputsOf<Tensor>): InputsOf<Binding> {
  return inputs.map((input) => (input === undefined ? undefined : bindOne(input)));
}

/** @throws InputError unless the strategy is absent or one of the kernel's. */
function checkStrategy(op: Op, kernel: Kernel | undefined, strategy: string | undefined): void {
  const known = kernel?.strategies ?? [];
  if (strategy === undefined || known.includes(strategy)) return;
  throw new InputError(
    `${op.name}: strategy must be one of ${known.join(', ') || '(none)'}, got ${strategy}.`,
  );
}

/**
 * Runs an op on the device of its inputs.
 *
 * @throws InputError when every input is absent.
 */
export function execute<Attrs extends object>(
  op: Op<Attrs>,
  inputs: InputsOf<Tensor>,
  attrs: Attrs,
  strategy?: string,
): Tensor[] {
  const first = inputs.find((input) => input !== undefined);
  if (first === undefined) throw new InputError(`${op.name}: needs at least one input tensor.`);
  return first.device.execute(op, inputs, attrs, strategy);
}

/** `execute` of an op with one output. */
export function executeOne<Attrs extends object>(
  op: Op<Attrs>,
  inputs: InputsOf<Tensor>,
  attrs: Attrs,
): Tensor {
  return execute(op, inputs, attrs)[0]!;
}
