/** What CPU kernels are written against: the context, addresses and views of tensors, and temporary memory. */
import type { Binding, Kernel } from '../backend.ts';
import { bytesPerElement, viewStorage, type DType, type StorageArray } from '../dtype.ts';
import type { TensorLayout, TensorSpec } from '../op.ts';
import { sizeOf } from '../shape.ts';
import type { CpuBuffer, CpuMemory } from './memory.ts';
import type { CpuPool } from './pool.ts';

/** State that CPU kernels run on. */
export interface CpuContext {
  readonly memory: CpuMemory;
  /** Runs WebAssembly jobs over the device's threads. */
  readonly pool: CpuPool;
}

/** A kernel of the CPU backend. Its `run` returns when the work is done. */
export type CpuKernel<Attrs extends object = object, Plan = unknown> = Kernel<
  CpuContext,
  CpuBuffer,
  Attrs,
  Plan
>;

/** An input or output of a running kernel. */
export type CpuBinding = Binding<CpuBuffer>;

/** Byte address of a binding's first element. */
export function addressOf(binding: CpuBinding, dtype: DType): number {
  return binding.buffer.address + binding.offset * bytesPerElement(dtype);
}

/** Elements of a contiguous binding, viewed in place. Valid until the next allocation. */
export function viewBinding(
  context: CpuContext,
  spec: TensorSpec,
  binding: CpuBinding,
): StorageArray {
  const start = addressOf(binding, spec.dtype);
  return viewStorage(spec.dtype, context.memory.buffer, start, sizeOf(spec.shape));
}

/** Everything from a binding's first element to the end of its buffer: what strides may reach. */
export function viewFromBinding(
  context: CpuContext,
  dtype: DType,
  binding: CpuBinding,
): StorageArray {
  const length = Math.floor(binding.buffer.bytes / bytesPerElement(dtype)) - binding.offset;
  return viewStorage(dtype, context.memory.buffer, addressOf(binding, dtype), length);
}

/** Calls `body` with the address of `bytes` temporary bytes (a multiple of 64), and frees them. */
export function withTemporary<T>(
  context: CpuContext,
  bytes: number,
  body: (address: number) => T,
): T {
  const buffer = context.memory.allocate(bytes);
  try {
    return body(buffer.address);
  } finally {
    context.memory.free(buffer);
  }
}

/** A view of `length` 32-bit words at a byte address. Valid until the next allocation. */
export function wordsAt(context: CpuContext, address: number, length: number): Uint32Array {
  return new Uint32Array(context.memory.buffer, address, length);
}

/** True when every given input is f32; else the reason that `supports` answers. */
export function onlyF32(inputs: readonly (TensorSpec | undefined)[]): true | string {
  const other = inputs.find((input) => input !== undefined && input.dtype !== 'f32');
  return other === undefined ? true : `it computes in f32, not ${other.dtype}`;
}

/** All axes but the last, walked as one: their number of rows and the elements between two of them. */
export interface RowLayout {
  readonly rows: number;
  readonly stride: number;
}

/** The rows of a tensor of rank 1 or more when one stride reaches them all; undefined otherwise. */
export function rowLayout(layout: TensorLayout): RowLayout | undefined {
  let rows = 1;
  let stride = 0;
  for (let axis = layout.shape.length - 2; axis >= 0; axis--) {
    const extent = layout.shape[axis]!;
    if (extent === 1) continue;
    const own = layout.strides[axis]!;
    if (rows === 1) stride = own;
    else if (own !== stride * rows) return undefined;
    rows *= extent;
  }
  return { rows, stride };
}
