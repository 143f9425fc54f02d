/** All op declarations of this package, for conformance suites and backends. */
import type { Op } from '@pergola/core';
import { sparseConv3dOp } from './ops/conv.ts';
import {
  convOutputCoordsOp,
  inversePermutationOp,
  subdivideCoordsOp,
  transformCoordsOp,
} from './ops/coords.ts';
import { curveCodesOp } from './ops/curves.ts';
import { buildHashOp, lookupHashOp } from './ops/hash.ts';
import { batchOffsetsOp, inspectCoordsOp } from './ops/inspect.ts';
import { invertNeighborMapOp, neighborMapOp } from './ops/neighbors.ts';
import { sparseGroupNormOp } from './ops/norm.ts';
import { segmentReduceOp } from './ops/segment.ts';
import { uniqueCoordsOp } from './ops/unique.ts';

/** Every op that this package declares. */
export function sparseOps(): readonly Op[] {
  return [
    buildHashOp,
    lookupHashOp,
    neighborMapOp,
    invertNeighborMapOp,
    uniqueCoordsOp,
    transformCoordsOp,
    subdivideCoordsOp,
    convOutputCoordsOp,
    inversePermutationOp,
    inspectCoordsOp,
    batchOffsetsOp,
    curveCodesOp,
    sparseConv3dOp,
    segmentReduceOp,
    sparseGroupNormOp,
  ];
}
