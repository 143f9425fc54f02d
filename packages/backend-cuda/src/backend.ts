/** The CUDA backend: memory, transfers and the kernel table over the native addon. */
import {
  Device,
  DeviceLostError,
  InputError,
  LifetimeError,
  OutOfMemoryError,
  UnsupportedOpError,
  type Backend,
  type BackendMemory,
  type DeviceInfo,
  type DType,
  type Op,
  type Recording,
} from '@pergola/core';
import type { CudaBuffer, CudaContext, CudaKernel } from './kernel.ts';
import { KERNEL_TABLE } from './kernels/table.ts';
import { addonPath, loadAddon, type NativeDevice } from './native.ts';

/** Options of `createCudaDevice`. */
export interface CudaDeviceOptions {
  /** Which device, in the driver's order. */
  readonly ordinal?: number;
}

export const CUDA_DEVICE_DEFAULTS: Required<CudaDeviceOptions> = { ordinal: 0 };

// bf16 tensor cores and the kernels' cp.async need Ampere.
const MIN_CAPABILITY = 80;
const DTYPES_ON_CUDA: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'u8', 'bool'];

/** Turns an error of the addon into the house's classes. */
function translate(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: string };
  if (code === 'OUT_OF_MEMORY')
    return new OutOfMemoryError(`cuda: ${error.message}.`, { cause: error });
  if (code === 'DISPOSED') return new LifetimeError(`cuda: ${error.message}.`, { cause: error });
  if (code === 'CUDA') return new DeviceLostError(`cuda: ${error.message}.`, { cause: error });
  return error;
}

function attempt<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translate(error);
  }
}

class CudaBackend implements Backend<CudaContext, CudaBuffer> {
  readonly name = 'cuda';
  readonly info: DeviceInfo;
  readonly context: CudaContext;
  readonly #device: NativeDevice;
  #recording = false;

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
      device.abortCapture();
      throw error;
    } finally {
      this.#recording = false;
    }
    const graph = attempt(() => device.endCapture());
    const replay = (): void => {
      if (this.#recording) {
        throw new InputError('replay: a step must not be replayed while another is recorded.');
      }
      attempt(() => device.launchGraph(graph));
    };
    replay();
    return {
      commands: device.graphNodes(graph),
      replay,
      dispose: () => attempt(() => device.destroyGraph(graph)),
    };
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
  const { ordinal } = { ...CUDA_DEVICE_DEFAULTS, ...options };
  const { count, reason } = probeCuda();
  const addon = loadAddon();
  if (addon === undefined || count === 0) throw new UnsupportedOpError(reason);
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= count) {
    throw new UnsupportedOpError(`cuda: ordinal must be from 0 to ${count - 1}, got ${ordinal}.`);
  }
  const device = attempt(() => new addon.NativeDevice(ordinal));
  const { major, minor, name } = device.info();
  const capability = major * 10 + minor;
  if (capability < MIN_CAPABILITY) {
    device.dispose();
    throw new UnsupportedOpError(
      `cuda: ${name} has compute capability ${major}.${minor}; 8.0 (Ampere) or later is needed.`,
    );
  }
  return new Device(new CudaBackend({ addon, device, capability }));
}

export { addonPath };
