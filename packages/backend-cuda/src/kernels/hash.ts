/** The coordinate hash: building, looking up, neighbour maps, and the check of a coordinate list. */
import { UnsupportedOpError, type KernelCall } from '@pergola/core';
import type { InvertNeighborMapAttrs, NeighborMapAttrs } from '@pergola/sparse';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

export const buildHashKernel: CudaKernel = {
  op: 'buildHash',
  supports: fitsIndices,
  prepare(call, context) {
    const params = new ParamBlock().int(call.inputs[0]!.shape[0]!, call.outputs[0]!.shape[0]!);
    return planLaunch(context, 'buildHash', call, params);
  },
  run: runLaunch,
};

export const lookupHashKernel: CudaKernel = {
  op: 'lookupHash',
  supports: fitsIndices,
  prepare(call, context) {
    const [slots, coords, queries] = call.inputs;
    const params = new ParamBlock().int(queries!.shape[0]!, coords!.shape[0]!, slots!.shape[0]!);
    return planLaunch(context, 'lookupHash', call, params);
  },
  run: runLaunch,
};

export const inspectCoordsKernel: CudaKernel = {
  op: 'inspectCoords',
  supports: fitsIndices,
  prepare(call, context) {
    const [coords, slots] = call.inputs;
    const params = new ParamBlock().int(coords!.shape[0]!, slots!.shape[0]!);
    return planLaunch(context, 'inspectCoords', call, params);
  },
  run: runLaunch,
};

// In the order of the enum in native/kernels/neighbor_map.cu.
const STRATEGIES = ['direct', 'symmetric'];

/** Whether the map of a set of voxels onto itself is symmetric, for the kernel size that halving it is made for. */
function isCentred({ inputs: [queries, coords], attrs }: KernelCall<NeighborMapAttrs>): boolean {
  const { kernelSize, stride, padding, dilation } = attrs;
  const sameRows = queries!.shape[0] === coords!.shape[0];
  return sameRows && kernelSize === 3 && stride === 1 && padding === dilation;
}

/**
 * neighborMap. `direct` searches for every entry; `symmetric` searches for half of them where queries and coordinates
 * are the same voxels, and is `direct` where they are not.
 */
export const neighborMapKernel: CudaKernel<NeighborMapAttrs> = {
  op: 'neighborMap',
  strategies: STRATEGIES,
  supports: fitsIndices,
  prepare(call, context, strategy = 'direct') {
    if (strategy === 'symmetric' && !isCentred(call)) {
      throw new UnsupportedOpError(
        'neighborMap: strategy symmetric needs a centred kernel of size 3 and stride 1 over as many queries as coordinates.',
      );
    }
    const [queries, coords, slots] = call.inputs;
    const { kernelSize, stride, padding, dilation } = call.attrs;
    const params = new ParamBlock()
      .int(queries!.shape[0]!, coords!.shape[0]!, slots!.shape[0]!)
      .int(kernelSize, stride, padding, dilation)
      .int(STRATEGIES.indexOf(strategy));
    return planLaunch(context, 'neighborMap', call, params);
  },
  run: runLaunch,
};

export const invertNeighborMapKernel: CudaKernel<InvertNeighborMapAttrs> = {
  op: 'invertNeighborMap',
  supports: fitsIndices,
  prepare(call, context) {
    const [rows, taps] = call.inputs[0]!.shape as [number, number];
    const params = new ParamBlock().int(rows, taps, call.attrs.rows);
    return planLaunch(context, 'invertNeighborMap', call, params);
  },
  run: runLaunch,
};
