/** Pergola sparse: voxel tensors, their structure, and the ops on both. */
export * from './attention.ts';
export * from './catalogue.ts';
export * from './convolution.ts';
export * from './resolution.ts';
export { BuiltParts, SparseStructure } from './structure.ts';
export * from './structure-parts.ts';
export * from './subdivided-convolution.ts';
export * from './tensor.ts';
export type { Bounds } from './check-coords.ts';
export { hashCapacity, type Triple } from './ops/checks.ts';
export * from './ops/conv.ts';
export {
  convOutputCoords,
  convOutputCoordsOp,
  inversePermutation,
  inversePermutationOp,
  NO_BATCH,
  subdivideCoords,
  subdivideCoordsOp,
  transformCoords,
  transformCoordsOp,
  type ConvOutputCoordsAttrs,
  type TransformCoordsAttrs,
} from './ops/coords.ts';
export * from './ops/curves.ts';
export {
  buildHash,
  buildHashOp,
  COORD_MAX,
  COORD_MIN,
  hashCoord,
  lookupHash,
  lookupHashOp,
  type HashTable,
} from './ops/hash.ts';
export {
  batchOffsets,
  batchOffsetsOp,
  inspectCoords,
  inspectCoordsOp,
  type BatchOffsetsAttrs,
} from './ops/inspect.ts';
export {
  invertNeighborMap,
  invertNeighborMapOp,
  NEIGHBOR_MAP_DEFAULTS,
  neighborMap,
  neighborMapOp,
  type InvertNeighborMapAttrs,
  type NeighborMapAttrs,
} from './ops/neighbors.ts';
export * from './ops/norm.ts';
export { NO_ROW, REPORT_FIELDS } from './ops/report.ts';
export * from './ops/segment.ts';
export { uniqueCoords, uniqueCoordsOp, type UniqueCoords } from './ops/unique.ts';
