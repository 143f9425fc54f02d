/** The CUDA backend: memory, transfers and the kernel table over the native addon. */
import {
  Device,
  InputError,
  UnsupportedOpError,
  type Backend,
  type BackendMemory,
  type DeviceInfo,
  type DType,
  type Op,
  type Recording,
} from '@pergola/core';
import { attempt, translate } from './errors.ts';
import type { CudaBuffer, CudaContext, CudaKernel } from './kernel.ts';
import { KERNEL_TABLE } from './kernels/table.ts';
import { addonPath, loadAddon, type NativeDevice } from './native.ts';

/** Options of `createCudaDevice`. */
export interface CudaDeviceOptions {
  /** Which device, in the driver's order; 0 by default. */
  readonly ordinal?: number;
  /**
   * Products of f32 matrices in TF32: several times faster, operands rounded to 10 bits of fraction; false by default,
   * which is full precision.
   */
  readonly tf32?: boolean;
  /**
   * Waits after every kernel, so that an error of a kernel names its op and not one behind it, and gives every tensor an
   * allocation of its own, so that compute-sanitizer sees its bounds; false by default. Slow.
   */
  readonly development?: boolean;
}

export const CUDA_DEVICE_DEFAULTS: Required<CudaDeviceOptions> = {
  ordinal: 0,
  tf32: false,
  development: false,
};

// bf16 tensor cores and the kernels' cp.async need Ampere.
const MIN_CAPABILITY = 80;
const DTYPES_ON_CUDA: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'u8', 'bool'];

class CudaBackend implements Backend<CudaContext, CudaBuffer> {
  readonly name = 'cuda';
  readonly info: DeviceInfo;
  readonly context: CudaContext;
  readonly #device: NativeDevice;
  #recording = false;
  #disposed = false;

  constructor(context: CudaContext) {
    this.context = context;
    this.#device = context.device;
    const native = this.#device.info();
    this.info = {
      description: `${native.name}, compute capability ${native.major}.${native.minor}, ${native.multiprocessors} multiprocessors`,
      dtypes: DTYPES_ON_CUDA,
      features: ['f16', 'tensor-cores', 'graphs', ...(context.capability >= 90 ? ['wgmma'] : [])],
      maxBufferBytes: native.totalBytes,
      memoryBytes: native.totalBytes,
    };
  }

  kernel(op: Op): CudaKernel<object, unknown> | undefined {
    return KERNEL_TABLE.get(op.name);
  }

  allocate(bytes: number): CudaBuffer {
    return { address: attempt(() => this.#device.allocate(bytes)), bytes };
  }

  free(buffer: CudaBuffer): void {
    attempt(() => this.#device.free(buffer.address));
  }

  upload(buffer: CudaBuffer, byteOffset: number, source: Uint8Array): void {
    attempt(() => this.#device.upload(buffer.address + byteOffset, source));
  }

  async download(
    buffer: CudaBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkWaiting();
    try {
      return await this.#device.download(buffer.address + byteOffset, byteLength);
    } catch (error) {
      throw translate(error);
    }
  }

  /** @throws InputError while a step is recorded: its work has not run yet. */
  #checkWaiting(): void {
    if (this.#recording) throw new InputError('recordStep: body must not read tensors.');
  }

  /** Captures a CUDA graph. Captured work does not run, so the graph is launched once at the end. */
  record(body: () => void): Recording {
    if (this.#recording) {
      throw new InputError('recordStep: steps must not be recorded inside one another.');
    }
    const device = this.#device;
    attempt(() => device.beginCapture());
    this.#recording = true;
    try {
      body();
    } catch (error) {
      attempt(() => device.abortCapture());
      throw error;
    } finally {
      this.#recording = false;
    }
    const graph = attempt(() => device.endCapture());
    // Graphs go with their device.
    const dispose = (): void => {
      if (!this.#disposed) attempt(() => device.destroyGraph(graph));
    };
    const replay = (): void => {
      if (this.#recording) {
        throw new InputError('replay: a step must not be replayed while another is recorded.');
      }
      attempt(() => device.launchGraph(graph));
    };
    try {
      replay();
    } catch (error) {
      dispose();
      throw error;
    }
    return { commands: device.graphNodes(graph), replay, dispose };
  }

  async sync(): Promise<void> {
    this.#checkWaiting();
    try {
      await this.#device.download(0, 0);
    } catch (error) {
      throw translate(error);
    }
  }

  memory(): BackendMemory {
    return { pooledBytes: this.#device.pooledBytes() };
  }

  trim(): void {
    attempt(() => this.#device.trim());
  }

  dispose(): void {
    this.#disposed = true;
    this.#device.dispose();
  }
}

/** How many CUDA devices there are and, when none, one sentence that says why. */
export function probeCuda(): { readonly count: number; readonly reason: string } {
  const addon = loadAddon();
  if (addon === undefined) {
    return {
      count: 0,
      reason: 'no CUDA device: the native addon was not built for this platform.',
    };
  }
  const { count, reason } = addon.probe();
  if (count > 0) return { count, reason: '' };
  return { count: 0, reason: `no CUDA device: ${reason || 'the driver lists none'}.` };
}

/**
 * Opens a CUDA device.
 *
 * @throws UnsupportedOpError when there is no addon, no driver, no such device, or one before Ampere.
 */
export async function createCudaDevice(options: CudaDeviceOptions = {}): Promise<Device> {
  const { ordinal, tf32, development } = { ...CUDA_DEVICE_DEFAULTS, ...options };
  const { count, reason } = probeCuda();
  const addon = loadAddon();
  if (addon === undefined || count === 0) throw new UnsupportedOpError(reason);
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= count) {
    throw new UnsupportedOpError(`cuda: ordinal must be from 0 to ${count - 1}, got ${ordinal}.`);
  }
  const device = attempt(() => new addon.NativeDevice(ordinal, development));
  const { major, minor, name } = device.info();
  const capability = major * 10 + minor;
  if (capability < MIN_CAPABILITY) {
    device.dispose();
    throw new UnsupportedOpError(
      `cuda: ${name} has compute capability ${major}.${minor}; 8.0 (Ampere) or later is needed.`,
    );
  }
  const productObstacle = addon.products();
  return new Device(new CudaBackend({ addon, device, capability, tf32, productObstacle }));
}

export { addonPath };
