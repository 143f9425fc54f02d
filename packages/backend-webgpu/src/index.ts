/** Pergola on WebGPU: the ops of core and sparse as WGSL kernels, in browsers and in Node. */
export {
  createWebGpuDevice,
  /** The name under which every backend package opens its device. */
  createWebGpuDevice as createDevice,
  WEBGPU_DEVICE_DEFAULTS,
  type WebGpuDeviceOptions,
} from './device.ts';
export { GpuProgramError } from './errors.ts';
export { profileDispatches } from './timing.ts';
export type { DispatchTiming } from './profiler.ts';
export { WebGpuBackend } from './backend.ts';
export { WebGpuContext, type Program, type WebGpuKernel } from './context.ts';
export { GpuBuffer } from './buffers.ts';
export type { Capabilities, SubgroupMatrixConfig } from './capabilities.ts';
export type { ProgramSpec, ParamType } from './wgsl/program.ts';
export type { BindingSpec, BindingUse } from './wgsl/access.ts';
