/** The op catalogue of this package, as one explicit table. */
import type { Op } from './op.ts';
import {
  addOp,
  divOp,
  floorDivideOp,
  maximumOp,
  minimumOp,
  mulOp,
  powOp,
  remainderOp,
  subOp,
} from './ops/arithmetic.ts';
import { argmaxOp, argminOp } from './ops/arg-reduce.ts';
import { argwhereOp } from './ops/argwhere.ts';
import { attentionOp } from './ops/attention.ts';
import { castOp } from './ops/cast.ts';
import {
  equalOp,
  greaterEqualOp,
  greaterOp,
  isFiniteOp,
  isNaNOp,
  lessEqualOp,
  lessOp,
  logicalAndOp,
  logicalNotOp,
  logicalOrOp,
  notEqualOp,
} from './ops/comparison.ts';
import { concatOp } from './ops/concat.ts';
import { conv2dOp, conv3dOp } from './ops/conv.ts';
import { copyOp } from './ops/copy.ts';
import { fullOp } from './ops/create.ts';
import { cumsumOp } from './ops/cumsum.ts';
import { clampOp, geluOp, whereOp } from './ops/elementwise.ts';
import { gatherOp, scatterReduceOp } from './ops/gather.ts';
import { linearOp, matmulOp } from './ops/matmul.ts';
import { gatedResidualOp, layerNormModulateOp, qkNormOp } from './ops/norm-fused.ts';
import { groupNormOp, layerNormOp, rmsNormOp } from './ops/norm.ts';
import { padOp } from './ops/pad.ts';
import { avgPoolOp, maxPoolOp } from './ops/pool.ts';
import { allOp, anyOp, maxOp, meanOp, minOp, prodOp, sumOp, varianceOp } from './ops/reduce.ts';
import { pixelShuffleOp, resizeBicubicOp, upsampleNearestOp } from './ops/resample.ts';
import { softmaxOp } from './ops/softmax.ts';
import { sortByKeyOp, uniqueByKeyOp } from './ops/sort.ts';
import {
  absOp,
  ceilOp,
  cosOp,
  erfOp,
  expOp,
  expm1Op,
  floorOp,
  log1pOp,
  logOp,
  negOp,
  reciprocalOp,
  reluOp,
  roundOp,
  rsqrtOp,
  sigmoidOp,
  signOp,
  siluOp,
  sinOp,
  softplusOp,
  sqrtOp,
  squareOp,
  tanhOp,
} from './ops/unary.ts';

const CORE_OPS: readonly Op[] = [
  // create, layout, cast
  fullOp,
  copyOp,
  castOp,
  // elementwise
  negOp,
  absOp,
  signOp,
  expOp,
  expm1Op,
  logOp,
  log1pOp,
  sqrtOp,
  rsqrtOp,
  squareOp,
  reciprocalOp,
  sinOp,
  cosOp,
  tanhOp,
  sigmoidOp,
  reluOp,
  siluOp,
  softplusOp,
  erfOp,
  floorOp,
  ceilOp,
  roundOp,
  geluOp,
  clampOp,
  addOp,
  subOp,
  mulOp,
  divOp,
  powOp,
  minimumOp,
  maximumOp,
  floorDivideOp,
  remainderOp,
  equalOp,
  notEqualOp,
  lessOp,
  lessEqualOp,
  greaterOp,
  greaterEqualOp,
  logicalAndOp,
  logicalOrOp,
  logicalNotOp,
  isNaNOp,
  isFiniteOp,
  whereOp,
  // reduce
  sumOp,
  meanOp,
  maxOp,
  minOp,
  prodOp,
  varianceOp,
  anyOp,
  allOp,
  argmaxOp,
  argminOp,
  cumsumOp,
  softmaxOp,
  // matmul, norm, attention, conv
  matmulOp,
  linearOp,
  layerNormOp,
  rmsNormOp,
  groupNormOp,
  qkNormOp,
  layerNormModulateOp,
  gatedResidualOp,
  attentionOp,
  conv2dOp,
  conv3dOp,
  // index
  gatherOp,
  scatterReduceOp,
  concatOp,
  padOp,
  // pool, resample
  maxPoolOp,
  avgPoolOp,
  pixelShuffleOp,
  upsampleNearestOp,
  resizeBicubicOp,
  // sort
  sortByKeyOp,
  uniqueByKeyOp,
  argwhereOp,
];

/** Every op that this package declares, in documentation order. */
export function coreOps(): readonly Op[] {
  return CORE_OPS;
}
