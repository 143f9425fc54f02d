/** The CPU backend: tensors in WebAssembly memory, SIMD kernels over a thread pool, reference kernels as fallback. */
import type { Backend, BackendMemory, Binding, DeviceInfo, KernelCall } from '../backend.ts';
import {
  allocateStorage,
  decodeStorage,
  DTYPES,
  encodeStorage,
  type StorageArray,
} from '../dtype.ts';
import { Device } from '../device.ts';
import { InputError } from '../errors.ts';
import type { HostTensor, InputsOf, Op, TensorLayout } from '../op.ts';
import { sizeOf } from '../shape.ts';
import { viewBinding, viewFromBinding, type CpuContext, type CpuKernel } from './context.ts';
import { CPU_KERNELS } from './kernels/table.ts';
import { CpuMemory, type CpuBuffer } from './memory.ts';
import { availableThreads, CpuPool } from './pool.ts';
import { wasm as gemmModule } from './wasm/gemm.generated.ts';
import { engineRuns } from './wasm-module.ts';

/** Options of `createCpuDevice`. */
export interface CpuDeviceOptions {
  /** Threads that compute, the calling one included. Default: as many as the machine runs at once. */
  readonly threads?: number;
  /** Upper bound of all tensors together in bytes. Default and maximum: 4 GiB. */
  readonly maxBytes?: number;
  /**
   * Fused multiply-add where the engine has it: faster, but sums may differ in the last bits between machines. Default
   * false. `info.features` tells whether it is in use.
   */
  readonly relaxedSimd?: boolean;
}

/** Row-major copy of strided elements. */
function gatherStrided(layout: TensorLayout, source: StorageArray): StorageArray {
  const out = allocateStorage(layout.dtype, sizeOf(layout.shape));
  const index = new Array<number>(layout.shape.length).fill(0);
  let at = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = source[at]!;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      at += layout.strides[axis]!;
      if (++index[axis]! < layout.shape[axis]!) break;
      at -= layout.strides[axis]! * layout.shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

function describe(simd: boolean, threads: number): string {
  const count = threads === 1 ? 'one thread' : `${threads} threads`;
  return simd ? `WebAssembly SIMD, ${count}` : 'JavaScript, one thread';
}

class CpuBackend implements Backend<CpuContext, CpuBuffer> {
  readonly name = 'cpu';
  readonly info: DeviceInfo;
  readonly context: CpuContext;
  readonly #simd: boolean;

  constructor({ threads = availableThreads(), maxBytes, relaxedSimd = false }: CpuDeviceOptions) {
    const memory = new CpuMemory(maxBytes);
    const relaxed = relaxedSimd && engineRuns(gemmModule, memory.shared, true);
    this.#simd = engineRuns(gemmModule, memory.shared, false);
    const pool = new CpuPool(memory, threads, relaxed);
    this.context = { memory, pool };
    this.info = {
      description: describe(this.#simd, pool.threads),
      dtypes: DTYPES,
      features: [
        ...(this.#simd ? ['simd'] : []),
        ...(this.#simd && pool.threads > 1 ? ['threads'] : []),
        ...(relaxed ? ['relaxed-simd'] : []),
      ],
      maxBufferBytes: memory.maxBytes,
      memoryBytes: memory.maxBytes,
    };
  }

  kernel(op: Op): CpuKernel | undefined {
    if (!this.#simd) return undefined;
    return CPU_KERNELS.get(op.name) ?? (op.kernels?.['cpu'] as CpuKernel | undefined);
  }

  reference(
    op: Op,
    call: KernelCall,
    inputs: InputsOf<Binding<CpuBuffer>>,
    outputs: readonly Binding<CpuBuffer>[],
  ): void {
    const hosts = call.inputs.map((layout, i): HostTensor | undefined => {
      if (layout === undefined) return undefined;
      const storage = layout.contiguous
        ? viewBinding(this.context, layout, inputs[i]!)
        : gatherStrided(layout, viewFromBinding(this.context, layout.dtype, inputs[i]!));
      return {
        dtype: layout.dtype,
        shape: layout.shape,
        data: decodeStorage(layout.dtype, storage),
      };
    });
    const results = call.outputs.map((spec, i): HostTensor => {
      const half = spec.dtype === 'f16' || spec.dtype === 'bf16';
      const data = half
        ? new Float32Array(sizeOf(spec.shape))
        : (viewBinding(this.context, spec, outputs[i]!) as HostTensor['data']);
      return { dtype: spec.dtype, shape: spec.shape, data };
    });
    op.reference(hosts, call.attrs, results);
    call.outputs.forEach((spec, i) => {
      if (spec.dtype !== 'f16' && spec.dtype !== 'bf16') return;
      viewBinding(this.context, spec, outputs[i]!).set(encodeStorage(spec.dtype, results[i]!.data));
    });
  }

  allocate(bytes: number): CpuBuffer {
    return this.context.memory.allocate(bytes);
  }

  free(buffer: CpuBuffer): void {
    this.context.memory.free(buffer);
  }

  upload(buffer: CpuBuffer, byteOffset: number, source: Uint8Array): void {
    this.context.memory.bytes.set(source, buffer.address + byteOffset);
  }

  async download(
    buffer: CpuBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const start = buffer.address + byteOffset;
    return new Uint8Array(this.context.memory.bytes.subarray(start, start + byteLength));
  }

  async sync(): Promise<void> {}

  memory(): BackendMemory {
    return { pooledBytes: this.context.memory.pooledBytes };
  }

  dispose(): void {
    this.context.pool.dispose();
  }
}

/**
 * Opens a CPU device. Its threads start with the first large op and do not keep a program alive.
 *
 * @throws InputError when an option is out of range.
 */
export async function createCpuDevice(options: CpuDeviceOptions = {}): Promise<Device> {
  const { threads, maxBytes } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 256)) {
    throw new InputError(
      `createCpuDevice: threads must be an integer of 1 to 256, got ${threads}.`,
    );
  }
  if (maxBytes !== undefined && !(maxBytes > 0)) {
    throw new InputError(`createCpuDevice: maxBytes must be positive, got ${maxBytes}.`);
  }
  return new Device(new CpuBackend(options));
}
