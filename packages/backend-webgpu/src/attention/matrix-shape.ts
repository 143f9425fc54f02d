/** How the subgroup-matrix strategy of attention divides its work, and what fits a device. */
import type { Capabilities } from '../capabilities.ts';
import { hasMatrixUnits, MATRIX, poolFits, SUBGROUP } from '../wgsl/matrix-units.ts';

/** A workgroup takes `subgroups * rowTiles * 16` queries of one head through the keys in steps. */
export interface MatrixShape {
  readonly subgroups: number;
  /** Matrices of 16 queries for each subgroup. */
  readonly rowTiles: 1 | 2;
  /** Keys of one step. */
  readonly keys: number;
  /** Matrices of 16 along the depth. */
  readonly depthTiles: number;
}

/** Places in the pool, in its elements. */
export interface PoolLayout {
  readonly queries: number;
  /** Scores, and on their way out the results: a line of f32 for each query. */
  readonly scorePitch: number;
  readonly scores: number;
  /** Weights, and on their way in the queries: a line of halves for each query. */
  readonly weightPitch: number;
  readonly weights: number;
  /** Keys and values: a line of halves for each key. */
  readonly keyPitch: number;
  readonly keys: number;
  readonly values: number;
  readonly size: number;
}

export function poolLayout(shape: MatrixShape): PoolLayout {
  const { subgroups, rowTiles, keys, depthTiles } = shape;
  const queries = subgroups * rowTiles * MATRIX;
  // Odd pitches, so that lines start in different banks.
  const scorePitch = keys / 4 + 1;
  const weightPitch = keys / 8 + 1;
  const keyPitch = (depthTiles * MATRIX) / 8 + 1;
  const weights = queries * scorePitch;
  const firstKey = weights + queries * weightPitch;
  const firstValue = firstKey + keys * keyPitch;
  return {
    queries,
    scorePitch,
    scores: 0,
    weightPitch,
    weights,
    keyPitch,
    keys: firstKey,
    values: firstValue,
    size: firstValue + keys * keyPitch,
  };
}

/** Invocations of a workgroup. */
export function attentionInvocations({ subgroups }: MatrixShape): number {
  return subgroups * SUBGROUP;
}

/** True when a device has the matrix units and the workgroup memory for a shape. */
export function matrixShapeFits(shape: MatrixShape, capabilities: Capabilities): boolean {
  return (
    hasMatrixUnits(capabilities) &&
    attentionInvocations(shape) <= capabilities.maxInvocations &&
    poolFits(poolLayout(shape).size, capabilities)
  );
}

// Two rows of matrices keep their results in registers up to this depth.
const TWO_ROWS = 80 / MATRIX;

// Measured on an H200: more keys need fewer barriers, but registers that keep other workgroups out.
const STEP_KEYS = 16;

/** The shape for a head depth and longest query sequence; undefined when the device cannot run any. */
export function chooseMatrixShape(
  depth: number,
  maxQ: number,
  capabilities: Capabilities,
): MatrixShape | undefined {
  const depthTiles = Math.ceil(depth / MATRIX);
  const rowTiles = depthTiles <= TWO_ROWS ? 2 : 1;
  const shape = (subgroups: number): MatrixShape => ({
    subgroups,
    rowTiles,
    keys: STEP_KEYS,
    depthTiles,
  });
  const sizes = maxQ <= 2 * rowTiles * MATRIX ? [2] : [4, 2];
  return sizes.map(shape).find((one) => matrixShapeFits(one, capabilities));
}
