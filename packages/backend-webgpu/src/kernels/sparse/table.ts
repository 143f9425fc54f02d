/** Kernels of the ops of the sparse package. */
import type { WebGpuKernel } from '../../context.ts';
import { sparseConv3dKernel } from './conv.ts';
import {
  convOutputCoordsKernel,
  inversePermutationKernel,
  subdivideCoordsKernel,
  transformCoordsKernel,
} from './coords.ts';
import { curveCodesKernel } from './curve-codes.ts';
import { sparseGroupNormKernel } from './group-norm.ts';
import { buildHashKernel, lookupHashKernel } from './hash.ts';
import { batchOffsetsKernel, inspectCoordsKernel } from './inspect-coords.ts';
import { invertNeighborMapKernel, neighborMapKernel } from './neighbor-map.ts';
import { segmentReduceKernel } from './segment-reduce.ts';
import { uniqueCoordsKernel } from './unique-coords.ts';

export const sparseKernels: readonly WebGpuKernel[] = [
  batchOffsetsKernel,
  buildHashKernel,
  convOutputCoordsKernel,
  curveCodesKernel,
  inspectCoordsKernel,
  inversePermutationKernel,
  invertNeighborMapKernel,
  lookupHashKernel,
  neighborMapKernel,
  segmentReduceKernel,
  sparseConv3dKernel,
  sparseGroupNormKernel,
  subdivideCoordsKernel,
  transformCoordsKernel,
  uniqueCoordsKernel,
];
