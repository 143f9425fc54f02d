/**
 * sparseConv3d: implicit GEMM on tensor cores for half types, by wgmma on Hopper and mma.sync elsewhere; else one thread
 * per element. `sorted` is `wgmma` over rows ordered by the taps they have, so that tiles skip more of the others;
 * `split` is `wgmma` with the taps of a tile shared among blocks, for maps of few rows.
 */
import type { KernelCall } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { ParamBlock } from '../params.ts';
import { chooseTensorCoreStrategy } from '../tensor-cores.ts';

// In the order of the enum in native/kernels/sparse_conv.cu.
const STRATEGIES = ['scalar', 'mma', 'wgmma', 'sorted', 'split'];
const ON_HOPPER: ReadonlySet<string> = new Set(['wgmma', 'sorted', 'split']);
// The summed axis advances 32 channels a step at the least; results are stored in pairs.
const CHANNEL_STEP = 32;
// The block keeps its part of the map in shared memory next to the tiles: room for kernels of size 3.
const MAX_TAPS = 27;

/** Why the tensor cores cannot serve a call, or undefined. */
function obstacle({ inputs: [x, weight, , map] }: KernelCall): string | undefined {
  const [inputs, outputs, taps] = [x!.shape[1]!, weight!.shape[0]!, map!.shape[1]!];
  if (x!.dtype === 'f32') return 'dtype f32';
  if (inputs % CHANNEL_STEP !== 0) return `${inputs} input channels`;
  if (outputs % 2 !== 0) return `${outputs} output channels`;
  return taps <= MAX_TAPS ? undefined : `${taps} taps`;
}

export const sparseConvKernel: CudaKernel = {
  op: 'sparseConv3d',
  strategies: STRATEGIES,
  supports: () => true,
  prepare(call, context, strategy) {
    const [x, weight, , map] = call.inputs;
    const chosen = chooseTensorCoreStrategy(
      'sparseConv3d',
      obstacle(call),
      ON_HOPPER,
      context,
      strategy,
    );
    const params = new ParamBlock()
      .int(map!.shape[0]!, x!.shape[0]!, map!.shape[1]!, x!.shape[1]!, weight!.shape[0]!)
      .dtype(x!.dtype)
      .int(STRATEGIES.indexOf(chosen));
    return planLaunch(context, 'sparseConv3d', call, params);
  },
  run: runLaunch,
};
