/** What the kernels of this backend can count. */
import { sizeOf, type KernelCall } from '@pergola/core';

// Kernels index elements with 32 bits.
const MAX_ELEMENTS = 2 ** 31;

/** True when every tensor of a call has fewer than 2^31 elements, else the reason for `supports`. */
export function fitsIndices({ inputs, outputs }: KernelCall): true | string {
  const fits = [...inputs, ...outputs].every(
    (spec) => spec === undefined || sizeOf(spec.shape) < MAX_ELEMENTS,
  );
  return fits || 'a tensor has 2^31 elements or more';
}
