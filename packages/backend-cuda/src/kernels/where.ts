/** where: three operands with broadcasting. */
import { bytesPerElement } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { mergeAxes, packBroadcast } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';
import { operandStrides } from './binary.ts';

export const whereKernel: CudaKernel = {
  op: 'where',
  supports: fitsIndices,
  acceptsStrides: () => true,
  prepare(call, context) {
    const { dtype, shape } = call.outputs[0]!;
    const strides = call.inputs.map((input) => operandStrides(input, shape));
    const params = new ParamBlock().int(bytesPerElement(dtype));
    return planLaunch(context, 'where', call, packBroadcast(params, mergeAxes(shape, strides)));
  },
  run: runLaunch,
};
