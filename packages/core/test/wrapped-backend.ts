/** A CPU backend that tests can bend: every method goes through, hooks change what they must. */
import {
  createCpuDevice,
  Device,
  viewBinding,
  type Backend,
  type BackendMemory,
  type Binding,
  type CpuBuffer,
  type CpuContext,
  type DeviceBuffer,
  type DeviceInfo,
  type InputsOf,
  type Kernel,
  type KernelCall,
  type Op,
  type StorageArray,
  type TensorSpec,
} from '@pergola/core';

/** What a test changes about the backend. */
export interface Hooks {
  /** Named as in `Backend.info`. */
  readonly info?: Partial<DeviceInfo>;
  /** Replaces the kernel table. */
  readonly kernel?: (op: Op) => Kernel | undefined;
  /** False hides the host execution of ops. */
  readonly hasReference?: boolean;
  /** Called before an op runs on the host; what it returns is called after. */
  readonly beforeReference?: (
    backend: WrappedBackend,
    call: KernelCall,
    outputs: readonly Binding[],
  ) => () => void;
  /** Called after an op ran on the host. */
  readonly afterReference?: (
    backend: WrappedBackend,
    call: KernelCall,
    inputs: InputsOf<Binding>,
    outputs: readonly Binding[],
  ) => void;
}

export class WrappedBackend implements Backend {
  readonly name = 'wrapped';
  readonly info: DeviceInfo;
  readonly context: unknown;
  readonly reference?: NonNullable<Backend['reference']>;
  /** Calls of the methods that touch the device. */
  readonly calls: Record<'allocate' | 'free' | 'upload' | 'download' | 'run', number> = {
    allocate: 0,
    free: 0,
    upload: 0,
    download: 0,
    run: 0,
  };
  readonly #inner: Backend;
  readonly #hooks: Hooks;

  constructor(inner: Backend, hooks: Hooks) {
    this.#inner = inner;
    this.#hooks = hooks;
    this.info = { ...inner.info, ...hooks.info };
    this.context = inner.context;
    if (hooks.hasReference === false) return;
    this.reference = (op, call, inputs, outputs) => {
      const after = hooks.beforeReference?.(this, call, outputs);
      this.runReference(op, call, inputs, outputs);
      after?.();
      hooks.afterReference?.(this, call, inputs, outputs);
    };
  }

  runReference(
    op: Op,
    call: KernelCall,
    inputs: InputsOf<Binding>,
    outputs: readonly Binding[],
  ): void {
    this.calls.run++;
    this.#inner.reference?.(op, call, inputs, outputs);
  }

  /** Elements of a tensor, in place. */
  view(spec: TensorSpec, binding: Binding): StorageArray {
    return viewBinding(this.context as CpuContext, spec, binding as Binding<CpuBuffer>);
  }

  kernel(op: Op): Kernel | undefined {
    return this.#hooks.kernel?.(op);
  }

  allocate(bytes: number): DeviceBuffer {
    this.calls.allocate++;
    return this.#inner.allocate(bytes);
  }

  free(buffer: DeviceBuffer): void {
    this.calls.free++;
    this.#inner.free(buffer);
  }

  upload(buffer: DeviceBuffer, byteOffset: number, source: Uint8Array): void {
    this.calls.upload++;
    this.#inner.upload(buffer, byteOffset, source);
  }

  download(buffer: DeviceBuffer, byteOffset: number, byteLength: number) {
    this.calls.download++;
    return this.#inner.download(buffer, byteOffset, byteLength);
  }

  sync(): Promise<void> {
    return this.#inner.sync();
  }

  memory(): BackendMemory {
    return this.#inner.memory();
  }

  dispose(): void {
    this.#inner.dispose();
  }
}

/** A CPU device with these hooks. */
export async function wrappedDevice(
  hooks: Hooks = {},
): Promise<Device & { backend: WrappedBackend }> {
  const inner = await createCpuDevice();
  return new Device(new WrappedBackend(inner.backend, hooks)) as Device & {
    backend: WrappedBackend;
  };
}

/** A kernel that runs ops on the host through the wrapped backend. */
export function hostKernel(op: Op, backend: () => WrappedBackend): Kernel {
  return {
    op: op.name,
    supports: () => true,
    prepare: (call) => call,
    // The host copies strided inputs itself.
    acceptsStrides: () => op.name === 'copy',
    run: (plan, inputs, outputs) => backend().runReference(op, plan as KernelCall, inputs, outputs),
  };
}
