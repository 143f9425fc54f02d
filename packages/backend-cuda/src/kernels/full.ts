/** full: the element's bits, repeated to a 4-byte word. */
import {
  bytesPerElement,
  encodeStorage,
  isFloat,
  sizeOf,
  type DType,
  type FullAttrs,
} from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

/** The bits of one element, in the low bytes of a word. */
export function elementBits(dtype: DType, value: number): number {
  if (!isFloat(dtype)) return bytesPerElement(dtype) === 1 ? value & 0xff : value >>> 0;
  const stored = encodeStorage(dtype, Float32Array.of(value));
  return dtype === 'f32' ? new Uint32Array(stored.buffer)[0]! : stored[0]!;
}

// Repeats elements of 1, 2 and 4 bytes over a word.
const REPEATS: Readonly<Record<number, number>> = { 1: 0x01010101, 2: 0x00010001, 4: 1 };

export const fullKernel: CudaKernel<FullAttrs> = {
  op: 'full',
  supports: fitsIndices,
  prepare(call, context) {
    const { value, dtype, shape } = call.attrs;
    const bytes = bytesPerElement(dtype);
    const word = Math.imul(elementBits(dtype, value), REPEATS[bytes]!);
    const params = new ParamBlock().int(word, Math.ceil((sizeOf(shape) * bytes) / 4));
    return planLaunch(context, 'full', call, params);
  },
  run: runLaunch,
};
