/** What every CUDA kernel module shares: the context, and the plan of one launch. */
import {
  bytesPerElement,
  type Binding,
  type DeviceBuffer,
  type InputsOf,
  type Kernel,
  type KernelCall,
  type TensorSpec,
} from '@pergola/core';
import { attempt } from './errors.ts';
import type { NativeAddon, NativeDevice } from './native.ts';
import type { ParamBlock } from './params.ts';

/** A block of device memory. */
export interface CudaBuffer extends DeviceBuffer {
  readonly address: number;
}

/** State that CUDA kernels run on. */
export interface CudaContext {
  readonly addon: NativeAddon;
  readonly device: NativeDevice;
  /** Compute capability times ten: 80, 86, 89, 90. */
  readonly capability: number;
  /** f32 products may round their operands to TF32. */
  readonly tf32: boolean;
  /** Why cuBLASLt cannot be used, or an empty text. */
  readonly productObstacle: string;
}

/** A planned launch: one launcher with its parameter block and the element sizes of its buffers. */
export interface LaunchPlan {
  readonly launcher: number;
  readonly params: Uint8Array;
  /** Input buffers that the launcher expects; callers may leave out optional ones at the end. */
  readonly slots: number;
  readonly inputBytes: readonly number[];
  readonly outputBytes: readonly number[];
}

/** A kernel of the CUDA backend; most plan one launch. */
export type CudaKernel<Attrs extends object = object, Plan = LaunchPlan> = Kernel<
  CudaContext,
  CudaBuffer,
  Attrs,
  Plan
>;

function elementBytes(spec: TensorSpec | undefined): number {
  return spec === undefined ? 0 : bytesPerElement(spec.dtype);
}

/**
 * Plans a launch of `launcher`.
 *
 * @param slots input buffers that the launcher expects, where the call may have fewer.
 * @throws Error when the addon lacks it (addon and package differ in version).
 */
export function planLaunch(
  context: CudaContext,
  launcher: string,
  call: KernelCall,
  params: ParamBlock,
  slots: number = call.inputs.length,
): LaunchPlan {
  const id = context.addon.launcher(launcher);
  if (id < 0) {
    throw new Error(`${launcher}: the native addon has no such kernel; rebuild it with cmake-js.`);
  }
  return {
    launcher: id,
    params: params.bytes(),
    slots,
    inputBytes: call.inputs.map(elementBytes),
    outputBytes: call.outputs.map(elementBytes),
  };
}

/**
 * Enqueues a planned launch: addresses of the inputs in slot order (0 when absent), then of the outputs.
 *
 * @throws OutOfMemoryError when there is no room for what the kernel needs besides, DeviceLostError after a kernel failed.
 */
export function runLaunch(
  plan: LaunchPlan,
  inputs: InputsOf<Binding<CudaBuffer>>,
  outputs: readonly Binding<CudaBuffer>[],
  context: CudaContext,
): void {
  const addresses = new Float64Array(plan.slots + outputs.length);
  inputs.forEach((binding, i) => {
    if (binding === undefined) return;
    addresses[i] = binding.buffer.address + binding.offset * plan.inputBytes[i]!;
  });
  outputs.forEach((binding, i) => {
    addresses[plan.slots + i] = binding.buffer.address + binding.offset * plan.outputBytes[i]!;
  });
  attempt(() => context.device.launch(plan.launcher, addresses, plan.params));
}
