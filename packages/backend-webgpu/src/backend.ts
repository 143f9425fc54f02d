/** The WebGPU device as core drives it. */
import {
  InputError,
  type Backend,
  type BackendMemory,
  type Device,
  type DeviceInfo,
  type Op,
  type Recording,
} from '@pergola/core';
import { BindGroupCache } from './bind-groups.ts';
import { BufferPool, type GpuBuffer } from './buffers.ts';
import type { Capabilities } from './capabilities.ts';
import { CommandQueue } from './commands.ts';
import { WebGpuContext, type WebGpuKernel } from './context.ts';
import { DeviceHealth } from './health.ts';
import { KERNELS } from './kernels/table.ts';
import { ParamRing, uniformLayout } from './params.ts';
import { PipelineCache } from './pipelines.ts';
import { Readback } from './readback.ts';
import { recordCommands } from './recorder.ts';
import { StagingRing } from './staging.ts';
import { upload } from './upload.ts';

/** Bounds of a device's memory. */
export interface MemoryOptions {
  readonly maxPooledBytes: number;
  readonly memoryBytes: number | undefined;
}

/** Memory, transfers and kernels on one GPU device. */
export class WebGpuBackend implements Backend<WebGpuContext, GpuBuffer> {
  readonly name = 'webgpu';
  readonly info: DeviceInfo;
  readonly context: WebGpuContext;
  readonly #gpu: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #pool: BufferPool;
  readonly #params: ParamRing;
  readonly #staging: StagingRing;
  readonly #commands: CommandQueue;
  readonly #readback: Readback;

  constructor(gpu: GPUDevice, capabilities: Capabilities, options: MemoryOptions) {
    this.#gpu = gpu;
    this.#health = new DeviceHealth(gpu);
    const layout = uniformLayout(gpu);
    this.#params = new ParamRing(gpu, layout);
    this.#staging = new StagingRing(gpu);
    this.#commands = new CommandQueue(gpu, this.#health, this.#params, this.#staging);
    const bindGroups = new BindGroupCache(gpu);
    this.#pool = new BufferPool(gpu, this.#health, {
      ...options,
      maxBufferBytes: capabilities.maxTensorBytes,
      beforeDestroy: (buffer) => {
        this.#commands.flush();
        bindGroups.forget(buffer);
      },
    });
    this.context = new WebGpuContext({
      gpu,
      capabilities,
      commands: this.#commands,
      pool: this.#pool,
      pipelines: new PipelineCache(gpu, this.#health, layout),
      bindGroups,
      uniformLayout: layout,
    });
    this.#readback = new Readback(gpu, this.#health, this.#commands);
    this.info = {
      description: capabilities.description,
      dtypes: ['f32', 'f16', 'i32', 'u32', 'u8', 'bool'],
      features: [
        ...capabilities.features,
        ...(capabilities.f16 ? ['f16'] : []),
        ...(capabilities.software ? ['software'] : []),
      ],
      maxBufferBytes: capabilities.maxTensorBytes,
      ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }),
    };
  }

  kernel(op: Op): WebGpuKernel | undefined {
    return KERNELS.get(op.name) ?? (op.kernels?.['webgpu'] as WebGpuKernel | undefined);
  }

  allocate(bytes: number): GpuBuffer {
    this.#health.check();
    return this.context.allocate(bytes);
  }

  free(buffer: GpuBuffer): void {
    this.context.free(buffer);
  }

  upload(buffer: GpuBuffer, byteOffset: number, source: Uint8Array): void {
    // WebGPU refuses views of shared memory.
    const plain = source.buffer instanceof ArrayBuffer ? source : source.slice();
    const bytes = plain as Uint8Array<ArrayBuffer>;
    upload(this.context, this.#staging, buffer, byteOffset, bytes);
  }

  async download(
    buffer: GpuBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (this.context.recording !== undefined) {
      throw new InputError('recordStep: body must not read tensors.');
    }
    const bytes = await this.#readback.read(buffer, byteOffset, byteLength);
    await this.#health.settle();
    return bytes;
  }

  async sync(): Promise<void> {
    this.#health.check();
    this.#commands.flush();
    await this.#health.guard(this.#gpu.queue.onSubmittedWorkDone());
    await this.#health.settle();
  }

  record(body: () => void): Recording {
    this.#health.check();
    return recordCommands(this.context, body);
  }

  memory(): BackendMemory {
    return { pooledBytes: this.#pool.pooledBytes };
  }

  trim(): void {
    this.#pool.trim();
  }

  dispose(): void {
    this.#commands.flush();
    this.#readback.dispose();
    this.#staging.dispose();
    this.#params.dispose();
    this.#gpu.destroy();
  }
}

/** The backend of a WebGPU device. @throws InputError for devices of other backends. */
export function webGpuBackend(who: string, device: Device): WebGpuBackend {
  const { backend } = device;
  if (backend instanceof WebGpuBackend) return backend;
  throw new InputError(`${who}: device must be a WebGPU device, got ${device.name}.`);
}
