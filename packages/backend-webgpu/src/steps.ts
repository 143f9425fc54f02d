/** Steps on WebGPU tensors: recording them, and writing into memory that they use. */
import {
  bytesPerElement,
  formatShape,
  recordStep as recordDeviceStep,
  sameSpec,
  ShapeError,
  type Binding,
  type Device,
  type RecordedStep,
  type StorageArray,
  type Tensor,
} from '@pergola/core';
import { webGpuBackend } from './backend.ts';
import type { GpuBuffer } from './buffers.ts';
import { moveElements } from './kernels/copy.ts';

/**
 * `recordStep` of core, for WebGPU devices alone.
 *
 * @throws InputError when the device is not a WebGPU device, a step is being recorded already, or the body is
 * asynchronous.
 */
export function recordStep<T>(device: Device, body: () => T): RecordedStep<T> {
  webGpuBackend('recordStep', device);
  return recordDeviceStep(device, body);
}

function bindingOf(tensor: Tensor): Binding<GpuBuffer> {
  return { buffer: tensor.storage.buffer as GpuBuffer, offset: tensor.offset };
}

/**
 * Copies the elements of `source` into the memory of `target`: views of `target` see the new values.
 *
 * @throws ShapeError unless both are contiguous and equal in dtype and shape; InputError when the device is not a
 * WebGPU device.
 */
export function assign(target: Tensor, source: Tensor): void {
  const { context } = webGpuBackend('assign', target.device);
  if (source.device !== target.device || !sameSpec(target, source) || !target.contiguous) {
    throw new ShapeError(
      `assign: target must be contiguous and both must be equal, got ${String(target)} and ${String(source)}.`,
    );
  }
  if (target.size === 0) return;
  const dense = source.toContiguous();
  try {
    moveElements(context, target.dtype, target.size, bindingOf(dense), bindingOf(target));
  } finally {
    dense.dispose();
  }
}

/**
 * Writes host data, the raw elements of the tensor's dtype, into the memory of `target`.
 *
 * @throws ShapeError unless `target` is contiguous and `data` has its size and element type.
 */
export function assignData(target: Tensor, data: StorageArray): void {
  const backend = webGpuBackend('assignData', target.device);
  const bytes = target.size * bytesPerElement(target.dtype);
  if (data.byteLength !== bytes || !target.contiguous) {
    throw new ShapeError(
      `assignData: target must be contiguous and take ${data.byteLength} bytes, got ${target.dtype}${formatShape(target.shape)}.`,
    );
  }
  backend.upload(
    target.storage.buffer as GpuBuffer,
    target.offset * bytesPerElement(target.dtype),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
}
