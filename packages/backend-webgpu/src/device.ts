/** Opening a WebGPU device. */
import { Device, InputError } from '@pergola/core';
import { WebGpuBackend } from './backend.ts';
import { readCapabilities, wantedFeatures, wantedLimits } from './capabilities.ts';
import { openGpu } from './instance.ts';
import { withRuntimeFolder } from './vulkan.ts';

/** Options of `createWebGpuDevice`. */
export interface WebGpuDeviceOptions {
  /** The WebGPU entry point; by default the browser's `navigator.gpu`, else Dawn from the npm package `webgpu`. */
  readonly gpu?: GPU;
  /** Which adapter to ask for; high performance by default. */
  readonly adapter?: GPURequestAdapterOptions;
  /** In Node: validation, bounds checks and readable errors at the cost of speed. Default false. */
  readonly development?: boolean;
  /** In Node: further options of Dawn's `create()`, e.g. `enable-dawn-features=dump_shaders`. Default none. */
  readonly dawnFlags?: readonly string[];
  /** Optional features to do without although the adapter has them, e.g. `shader-f16`. Default none. */
  readonly withoutFeatures?: readonly string[];
  /** Freed memory kept for reuse, in bytes. Default 1 GiB. */
  readonly maxPooledBytes?: number;
  /** Bound of all memory in bytes, since WebGPU does not tell what the device has. Default none. */
  readonly memoryBytes?: number;
}

export const WEBGPU_DEVICE_DEFAULTS: {
  readonly adapter: GPURequestAdapterOptions;
  readonly development: boolean;
  readonly maxPooledBytes: number;
} = {
  adapter: { powerPreference: 'high-performance' },
  development: false,
  maxPooledBytes: 1024 ** 3,
};

/** @throws InputError when there is no adapter. */
async function findAdapter(options: WebGpuDeviceOptions): Promise<GPUAdapter> {
  const { development, adapter: wanted } = WEBGPU_DEVICE_DEFAULTS;
  const gpu =
    options.gpu ??
    (await openGpu({
      development: options.development ?? development,
      extra: options.dawnFlags ?? [],
    }));
  const adapter = await withRuntimeFolder(() =>
    gpu.requestAdapter({ ...wanted, ...options.adapter }),
  );
  if (adapter !== null) return adapter;
  throw new InputError(
    'createWebGpuDevice: the system must have a WebGPU adapter, got none; it needs a GPU with a Vulkan, Metal or Direct3D 12 driver (in Node on Linux also the Vulkan loader libvulkan.so.1).',
  );
}

/**
 * Opens a WebGPU device with all the adapter's limits and those optional features that kernels profit from
 * (`shader-f16`, `subgroups`, `timestamp-query`, `chromium-experimental-subgroup-matrix`).
 *
 * A device that was lost stays lost; call again for a new one.
 *
 * @throws InputError when there is no WebGPU implementation or adapter.
 */
export async function createWebGpuDevice(options: WebGpuDeviceOptions = {}): Promise<Device> {
  const adapter = await findAdapter(options);
  const gpu = await adapter.requestDevice({
    requiredFeatures: wantedFeatures(adapter, options.withoutFeatures ?? []),
    requiredLimits: wantedLimits(adapter),
  });
  const backend = new WebGpuBackend(gpu, readCapabilities(gpu, adapter.info), {
    maxPooledBytes: options.maxPooledBytes ?? WEBGPU_DEVICE_DEFAULTS.maxPooledBytes,
    memoryBytes: options.memoryBytes,
  });
  return new Device(backend);
}
