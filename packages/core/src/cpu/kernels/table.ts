/** Every kernel of the CPU backend, by op. Ops without an entry run on their reference. */
import type { CpuKernel } from '../context.ts';
import { attentionKernel } from './attention.ts';
import { castKernel } from './cast.ts';
import { conv2dKernel, conv3dKernel } from './conv.ts';
import {
  concatKernel,
  copyOpKernel,
  gatherKernel,
  padKernel,
  pixelShuffleKernel,
  upsampleNearestKernel,
} from './copy.ts';
import { BINARY_KERNELS, clampKernel, geluKernel, UNARY_KERNELS } from './elementwise.ts';
import { withHalf } from './half.ts';
import { linearKernel, matmulKernel } from './matmul.ts';
import {
  gatedResidualKernel,
  groupNormKernel,
  layerNormKernel,
  layerNormModulateKernel,
  qkNormKernel,
  rmsNormKernel,
  softmaxKernel,
} from './norm.ts';
import { REDUCE_KERNELS } from './reduce.ts';

// These compute in f32; other float dtypes pass through it.
const COMPUTING = [
  ...[matmulKernel, linearKernel, attentionKernel, conv2dKernel, conv3dKernel],
  ...[layerNormKernel, rmsNormKernel, groupNormKernel, qkNormKernel, softmaxKernel],
  ...[layerNormModulateKernel, gatedResidualKernel],
  ...[...BINARY_KERNELS, ...UNARY_KERNELS, geluKernel, clampKernel, ...REDUCE_KERNELS],
] as unknown as readonly CpuKernel[];

const MOVING = [
  ...[castKernel, copyOpKernel, concatKernel, padKernel, gatherKernel],
  ...[pixelShuffleKernel, upsampleNearestKernel],
] as unknown as readonly CpuKernel[];

export const CPU_KERNELS: ReadonlyMap<string, CpuKernel> = new Map(
  [...COMPUTING.map(withHalf), ...MOVING].map((kernel) => [kernel.op, kernel]),
);
