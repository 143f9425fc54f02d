/** Workgroup sizes for kernels that give one workgroup to each row. */

const SMALLEST = 32;
const LARGEST = 256;
// Accesses per invocation below which more invocations only wait for each other.
const ACCESSES = 4;

/** A power of two that fits rows of `accesses` loads. */
export function rowWorkgroup(accesses: number): number {
  let size = SMALLEST;
  while (size < LARGEST && size * ACCESSES < accesses) size *= 2;
  return size;
}
