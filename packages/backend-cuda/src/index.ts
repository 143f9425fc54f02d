/** Pergola on NVIDIA GPUs: the ops of core and sparse as CUDA kernels. */
export {
  addonPath,
  createCudaDevice,
  /** The name under which every backend package opens its device. */
  createCudaDevice as createDevice,
  CUDA_DEVICE_DEFAULTS,
  probeCuda,
  type CudaDeviceOptions,
} from './backend.ts';
