/** The choice that kernels with tensor-core strategies have in common. */
import { UnsupportedOpError } from '@pergola/core';
import type { CudaContext } from './kernel.ts';

/** Compute capability 9.0, the one with wgmma. */
export const HOPPER = 90;

/**
 * `forced`, else the best: `wgmma` on Hopper, `mma` on other chips, `scalar` where the tensor cores cannot serve.
 *
 * @param op for messages.
 * @param obstacle why the tensor cores cannot serve the call, or undefined.
 * @param onHopper strategies that need wgmma.
 * @throws UnsupportedOpError when the forced strategy cannot serve the call.
 */
export function chooseTensorCoreStrategy(
  op: string,
  obstacle: string | undefined,
  onHopper: ReadonlySet<string>,
  { capability }: CudaContext,
  forced: string | undefined,
): string {
  if (forced === undefined) {
    if (obstacle !== undefined) return 'scalar';
    return capability === HOPPER ? 'wgmma' : 'mma';
  }
  if (forced !== 'scalar' && obstacle !== undefined) {
    throw new UnsupportedOpError(`${op}: strategy ${forced} does not serve ${obstacle}.`);
  }
  if (onHopper.has(forced) && capability !== HOPPER) {
    throw new UnsupportedOpError(`${op}: strategy ${forced} needs compute capability 9.0.`);
  }
  return forced;
}
