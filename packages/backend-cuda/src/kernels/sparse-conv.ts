/**
 * sparseConv3d: implicit GEMM on tensor cores for half types, by wgmma on Hopper and mma.sync elsewhere; else one thread
 * per element. `split` is `wgmma` with the taps of a tile shared among blocks.
 */
import type { KernelCall } from '@pergola/core';
import { planLaunch, runLaunch, type CudaContext, type CudaKernel } from '../kernel.ts';
import { ParamBlock } from '../params.ts';
import { chooseTensorCoreStrategy } from '../tensor-cores.ts';
import { divideConv, type ConvDivision, type ConvSize } from './sparse-conv-choice.ts';

// In the order of the enum in native/kernels/sparse_conv.cu.
const STRATEGIES = ['scalar', 'mma', 'wgmma', 'split'];
const ON_HOPPER: ReadonlySet<string> = new Set(['wgmma', 'split']);
// The summed axis advances 32 channels a step at the least; results are stored in pairs.
const CHANNEL_STEP = 32;
// The block keeps its part of the map in shared memory next to the tiles: room for kernels of size 3.
const MAX_TAPS = 27;

/** Why the tensor cores cannot serve a call, or undefined. */
function obstacle({
  dtype,
  cin,
  cout,
  taps,
}: ConvSize & { readonly dtype: string }): string | undefined {
  if (dtype === 'f32') return 'dtype f32';
  if (cin % CHANNEL_STEP !== 0) return `${cin} input channels`;
  if (cout % 2 !== 0) return `${cout} output channels`;
  return taps <= MAX_TAPS ? undefined : `${taps} taps`;
}

function convSize({
  inputs: [x, weight, , map],
}: KernelCall): ConvSize & { readonly dtype: string } {
  const [rows, taps] = [map!.shape[0]!, map!.shape[1]!];
  return { dtype: x!.dtype, rows, cin: x!.shape[1]!, cout: weight!.shape[0]!, taps };
}

/** The division of a call's work, by `forced` strategy or by the best. */
function division(
  call: KernelCall,
  context: CudaContext,
  forced: string | undefined,
): ConvDivision {
  const size = convSize(call);
  const strategy = chooseTensorCoreStrategy(
    'sparseConv3d',
    obstacle(size),
    ON_HOPPER,
    context,
    forced,
  );
  if (!ON_HOPPER.has(strategy)) return { strategy, columns: 0, splits: 1 };
  return divideConv(size, context.device.info().multiprocessors, forced);
}

export const sparseConvKernel: CudaKernel = {
  op: 'sparseConv3d',
  strategies: STRATEGIES,
  supports: () => true,
  prepare(call, context, forced) {
    const [x, weight, , map] = call.inputs;
    const { strategy, columns, splits } = division(call, context, forced);
    const params = new ParamBlock()
      .int(map!.shape[0]!, x!.shape[0]!, map!.shape[1]!, x!.shape[1]!, weight!.shape[0]!)
      .dtype(x!.dtype)
      .int(STRATEGIES.indexOf(strategy), columns, splits);
    return planLaunch(context, 'sparseConv3d', call, params);
  },
  run: runLaunch,
};
