/** gatedResidual: x plus a branch scaled by the gate of the row's batch element. */
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';

export const gatedResidualKernel: CudaKernel = {
  op: 'gatedResidual',
  supports: fitsIndices,
  prepare(call, context) {
    const [x, , , offsets] = call.inputs;
    const params = new ParamBlock()
      .dtype(x!.dtype)
      .int(x!.shape[0]!, x!.shape[1]!, offsets!.shape[0]! - 1);
    return planLaunch(context, 'gatedResidual', call, params);
  },
  run: runLaunch,
};
