/** The kernels of this backend, by op. */
import type { WebGpuKernel } from '../context.ts';
import { argReduceKernels } from './arg-reduce.ts';
import { argwhereKernel } from './argwhere.ts';
import { attentionKernel } from './attention.ts';
import { concatKernel } from './concat.ts';
import { convKernels } from './conv.ts';
import { copyKernel } from './copy.ts';
import { cumsumKernel } from './cumsum.ts';
import { elementwiseKernels } from './elementwise.ts';
import { fullKernel } from './full.ts';
import { gatherKernel } from './gather.ts';
import { gatedResidualKernel } from './gated-residual.ts';
import { groupNormKernel } from './group-norm.ts';
import { matmulKernels } from './matmul.ts';
import { normRowKernels } from './norm-rows.ts';
import { padKernel } from './pad.ts';
import { poolKernels } from './pool.ts';
import { reduceKernels } from './reduce.ts';
import { scatterReduceKernel } from './scatter-reduce.ts';
import { softmaxKernel } from './softmax.ts';
import { sortByKeyKernel } from './sort-by-key.ts';
import { sparseKernels } from './sparse/table.ts';
import { uniqueByKeyKernel } from './unique-by-key.ts';

const ALL: readonly WebGpuKernel[] = [
  ...argReduceKernels,
  attentionKernel,
  argwhereKernel,
  concatKernel,
  ...convKernels,
  copyKernel,
  cumsumKernel,
  ...elementwiseKernels,
  fullKernel,
  gatedResidualKernel,
  gatherKernel,
  groupNormKernel,
  ...matmulKernels,
  ...normRowKernels,
  padKernel,
  ...poolKernels,
  ...reduceKernels,
  scatterReduceKernel,
  softmaxKernel,
  sortByKeyKernel,
  ...sparseKernels,
  uniqueByKeyKernel,
];

/** Kernel of each op that has one; other ops run by their decompositions. */
export const KERNELS: ReadonlyMap<string, WebGpuKernel> = new Map(
  ALL.map((kernel) => [kernel.op, kernel]),
);
