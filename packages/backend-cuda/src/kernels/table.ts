/** The kernel table: every op that has a CUDA kernel. */
import type { CudaKernel } from '../kernel.ts';
import { attentionKernel } from './attention.ts';
import { binaryKernels } from './binary.ts';
import { castKernel } from './cast.ts';
import { clampKernel } from './clamp.ts';
import { concatKernel } from './concat.ts';
import { conv2dKernel, conv3dKernel } from './conv.ts';
import {
  batchOffsetsKernel,
  convOutputCoordsKernel,
  curveCodesKernel,
  inversePermutationKernel,
  subdivideCoordsKernel,
  transformCoordsKernel,
} from './coords.ts';
import { copyKernel } from './copy.ts';
import { fullKernel } from './full.ts';
import { gatedResidualKernel } from './gated-residual.ts';
import { gatherKernel } from './gather.ts';
import { groupNormKernel, sparseGroupNormKernel } from './group-norm.ts';
import {
  buildHashKernel,
  inspectCoordsKernel,
  invertNeighborMapKernel,
  lookupHashKernel,
  neighborMapKernel,
} from './hash.ts';
import { argmaxKernel, argminKernel, cumsumKernel, softmaxKernel } from './lines.ts';
import { linearKernel, matmulKernel } from './matmul.ts';
import { padKernel } from './pad.ts';
import { avgPoolKernel, maxPoolKernel } from './pool.ts';
import { qkNormKernel } from './qk-norm.ts';
import { reduceKernels } from './reduce.ts';
import { pixelShuffleKernel, resizeBicubicKernel, upsampleNearestKernel } from './resample.ts';
import { layerNormKernel, layerNormModulateKernel, rmsNormKernel } from './row-norm.ts';
import { scatterReduceKernel, segmentReduceKernel } from './segments.ts';
import { argwhereKernel, sortByKeyKernel, uniqueByKeyKernel, uniqueCoordsKernel } from './sort.ts';
import { sparseConvKernel } from './sparse-conv.ts';
import { geluKernel, unaryKernels } from './unary.ts';
import { whereKernel } from './where.ts';

const KERNELS: readonly CudaKernel<object, unknown>[] = [
  // create, layout, cast
  fullKernel,
  copyKernel,
  castKernel,
  // elementwise
  ...unaryKernels,
  ...binaryKernels,
  geluKernel,
  clampKernel,
  whereKernel,
  // reduce
  ...reduceKernels,
  argmaxKernel,
  argminKernel,
  cumsumKernel,
  softmaxKernel,
  // matmul, norm, attention, conv
  matmulKernel,
  linearKernel,
  layerNormKernel,
  rmsNormKernel,
  groupNormKernel,
  qkNormKernel,
  layerNormModulateKernel,
  gatedResidualKernel,
  attentionKernel,
  conv2dKernel,
  conv3dKernel,
  // index
  gatherKernel,
  scatterReduceKernel,
  concatKernel,
  padKernel,
  // pool, resample
  maxPoolKernel,
  avgPoolKernel,
  pixelShuffleKernel,
  upsampleNearestKernel,
  resizeBicubicKernel,
  // sort
  sortByKeyKernel,
  uniqueByKeyKernel,
  argwhereKernel,
  // sparse: hash and coordinates
  buildHashKernel,
  lookupHashKernel,
  neighborMapKernel,
  invertNeighborMapKernel,
  uniqueCoordsKernel,
  transformCoordsKernel,
  subdivideCoordsKernel,
  convOutputCoordsKernel,
  inversePermutationKernel,
  inspectCoordsKernel,
  batchOffsetsKernel,
  curveCodesKernel,
  // sparse: features
  sparseConvKernel,
  segmentReduceKernel,
  sparseGroupNormKernel,
];

/** Kernels by op name. */
export const KERNEL_TABLE: ReadonlyMap<string, CudaKernel<object, unknown>> = new Map(
  KERNELS.map((kernel) => [kernel.op, kernel]),
);
