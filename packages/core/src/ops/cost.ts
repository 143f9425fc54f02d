/** Pieces of the ops' cost formulas. */
import { bytesPerElement } from '../dtype.ts';
import type { InputsOf, OpCost, TensorSpec } from '../op.ts';
import { sizeOf } from '../shape.ts';

/** Bytes of all given tensors, each moved once. */
export function trafficBytes(inputs: InputsOf<TensorSpec>, outputs: readonly TensorSpec[]): number {
  let bytes = 0;
  for (const spec of [...inputs, ...outputs]) {
    if (spec !== undefined) bytes += sizeOf(spec.shape) * bytesPerElement(spec.dtype);
  }
  return bytes;
}

/** Cost of an op that spends `flops` on each element of its first output. */
export function perOutputElement(
  flops: number,
): (inputs: InputsOf<TensorSpec>, attrs: object, outputs: readonly TensorSpec[]) => OpCost {
  return (inputs, _attrs, outputs) => ({
    flops: flops * sizeOf(outputs[0]!.shape),
    bytes: trafficBytes(inputs, outputs),
  });
}

/** Cost of an op that spends `flops` on each element of its first input. */
export function perInputElement(
  flops: number,
): (inputs: InputsOf<TensorSpec>, attrs: object, outputs: readonly TensorSpec[]) => OpCost {
  return (inputs, _attrs, outputs) => ({
    flops: flops * sizeOf(inputs[0]!.shape),
    bytes: trafficBytes(inputs, outputs),
  });
}
