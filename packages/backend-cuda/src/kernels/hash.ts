/** The coordinate hash: building, looking up, neighbour maps, and the check of a coordinate list. */
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

export const neighborMapKernel: CudaKernel<NeighborMapAttrs> = {
  op: 'neighborMap',
  supports: fitsIndices,
  prepare(call, context) {
    const [queries, coords, slots] = call.inputs;
    const { kernelSize, stride, padding, dilation } = call.attrs;
    const params = new ParamBlock()
      .int(queries!.shape[0]!, coords!.shape[0]!, slots!.shape[0]!)
      .int(kernelSize, stride, padding, dilation);
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
