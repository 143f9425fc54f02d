/**
 * Mesh extraction on the host in three stages, so that most predictions need not be looked at.
 *
 * The first stage wants the cells alone and can run while a network still computes; the second wants the eight distances
 * of every cell; the third wants the rest where the surface is, as rows that the second has named. `extractMesh` is the
 * three in one for predictions that are at hand.
 */
import { InputError, ShapeError } from '@pergola/core';
import { CELL_WEIGHTS } from './cell-record.ts';
import { checkCoords } from './coordinates.ts';
import { findSurface, type SurfaceCells } from './flexicubes-cells.ts';
import {
  arrangeCells,
  arrangeVoxels,
  insidePoints,
  sumDistances,
  type CellGrid,
} from './flexicubes-grid.ts';
import { describePoints, rowsOfSurface, type CrossedPoints } from './flexicubes-points.ts';
import { connectQuads } from './flexicubes-quads.ts';
import {
  numberVertices,
  placeDualVertices,
  type SurfacePredictions,
} from './flexicubes-vertices.ts';
import type { Mesh } from './mesh.ts';
import { MAX_LATTICE_RESOLUTION, type SparseLattice } from './sparse-lattice.ts';

export type { SurfacePredictions } from './flexicubes-vertices.ts';

/** Options of mesh extraction. */
export interface MeshExtractionOptions {
  /** Cells along each axis of the grid, 1 to 1024. Default 256. */
  readonly resolution: number;
}

export const MESH_EXTRACTION_DEFAULTS: MeshExtractionOptions = { resolution: 256 };

/** A mesh, and whether the predictions contain a surface at all. */
export interface ExtractedMesh extends Mesh {
  /** False when no cell is crossed: the mesh is then empty. */
  readonly success: boolean;
}

/** The cells of one asset, arranged on the grid. */
export interface MeshCells {
  /** N. */
  readonly count: number;
  /** @internal */
  readonly grid: CellGrid;
}

/** Where the surface runs, and what has to be known there. */
export interface MeshSurface {
  /** `[S]` row of each surface cell, -1 for those that were not given. Its weights are wanted. */
  readonly cellRows: Int32Array;
  /**
   * `[8, P]` what speaks of each point whose displacement and attributes are wanted: `8 * row + corner`, or -1 where no
   * cell was given.
   */
  readonly pointCorners: Int32Array;
  /** `[P]` the factor that turns a sum over these lists into a mean. */
  readonly pointShares: Float32Array;
  /** @internal */
  readonly parts: {
    readonly lattice: SparseLattice;
    readonly surface: SurfaceCells;
    readonly points: CrossedPoints;
  };
}

/**
 * Arranges cells on the grid.
 *
 * @param coords `[N, width]` (x, y, z) or (batch, x, y, z) i32 of distinct cells, all of one batch element.
 * @param rows N.
 * @throws ShapeError, InputError when a coordinate leaves the grid, a cell repeats, or batch elements are mixed.
 */
export function arrangeMeshCells(
  coords: Int32Array,
  rows: number,
  options: Partial<MeshExtractionOptions> = {},
): MeshCells {
  const resolution = checkResolution('extractMesh', options);
  const width = checkCoords('extractMesh', coords, rows, resolution);
  const grid = arrangeCells(coords, width, resolution);
  if ('duplicate' in grid) {
    throw new InputError(
      `extractMesh: coords must name each cell once, got row ${grid.duplicate} again.`,
    );
  }
  return { count: rows, grid };
}

/**
 * Arranges the cells of voxels that were subdivided twice, in the order of `SparseStructure.subdivide`: the same as
 * `arrangeMeshCells` on their coordinates, without looking at each.
 *
 * @param voxels `[V, width]` (x, y, z) or (batch, x, y, z) i32 of distinct voxels, all of one batch element.
 * @param rows V.
 * @param options `resolution` is that of the cells, a multiple of four.
 * @throws ShapeError, InputError when a coordinate leaves the grid, a voxel repeats, or batch elements are mixed.
 */
export function arrangeMeshVoxels(
  voxels: Int32Array,
  rows: number,
  options: Partial<MeshExtractionOptions> = {},
): MeshCells {
  const resolution = checkResolution('arrangeMeshVoxels', options);
  if (resolution % CELLS_PER_VOXEL_EDGE !== 0) {
    throw new InputError(
      `arrangeMeshVoxels: resolution must be a multiple of ${CELLS_PER_VOXEL_EDGE}, got ${resolution}.`,
    );
  }
  const voxelResolution = resolution / CELLS_PER_VOXEL_EDGE;
  const width = checkCoords('arrangeMeshVoxels', voxels, rows, voxelResolution);
  const grid = arrangeVoxels(voxels, width, resolution);
  if ('duplicate' in grid) {
    throw new InputError(
      `arrangeMeshVoxels: voxels must be distinct, got row ${grid.duplicate} again.`,
    );
  }
  return { count: rows * CELLS_PER_VOXEL_EDGE ** 3, grid };
}

const CELLS_PER_VOXEL_EDGE = 4;

/** @throws InputError when there is no lattice of that resolution. */
function checkResolution(who: string, options: Partial<MeshExtractionOptions>): number {
  const { resolution } = { ...MESH_EXTRACTION_DEFAULTS, ...options };
  if (Number.isInteger(resolution) && resolution >= 1 && resolution <= MAX_LATTICE_RESOLUTION) {
    return resolution;
  }
  throw new InputError(
    `${who}: resolution must be an integer from 1 to ${MAX_LATTICE_RESOLUTION}, got ${resolution}.`,
  );
}

/**
 * Finds the surface cells.
 *
 * @param distances `[N, stride]` f32, the signed distances of the eight corners first. Default stride 8.
 * @throws ShapeError when there is not one row for each cell.
 */
export function findMeshSurface(
  { count, grid }: MeshCells,
  distances: Float32Array,
  stride = 8,
): MeshSurface {
  checkLength('distances', distances, count, stride);
  const sums = sumDistances(grid, distances, stride);
  const { lattice } = grid;
  const { surface, ends } = findSurface(lattice, insidePoints(grid, sums));
  const points = describePoints(grid, sums, ends);
  return {
    cellRows: rowsOfSurface(grid, surface),
    pointCorners: points.corners,
    pointShares: points.shares,
    parts: { lattice, surface, points },
  };
}

/**
 * Builds the mesh.
 *
 * @throws ShapeError when the predictions do not fit the surface.
 */
export function buildSurfaceMesh(
  { parts: { lattice, surface, points } }: MeshSurface,
  predictions: SurfacePredictions,
): ExtractedMesh {
  const { weights, displacements, attributes } = predictions;
  checkLength('weights', weights, surface.count, CELL_WEIGHTS);
  checkLength('displacements', displacements, points.count, 3);
  if (attributes !== null) checkLength('attributes', attributes, points.count, 6);
  const numbers = numberVertices(surface);
  const faces = connectQuads(lattice, surface, points, numbers, weights);
  const { positions, ...columns } = placeDualVertices(
    lattice,
    surface,
    points,
    numbers,
    predictions,
  );
  return { kind: 'mesh', vertices: positions, faces, ...columns, success: surface.count > 0 };
}

function checkLength(name: string, array: Float32Array, rows: number, columns: number): void {
  if (array.length === rows * columns) return;
  throw new ShapeError(
    `extractMesh: ${name} must be [${rows}, ${columns}], got ${array.length} numbers.`,
  );
}
