/**
 * Mesh extraction in three stages, so that a device need not hand over all predictions.
 *
 * The first stage wants the cells alone and can run while a network still computes; the second wants the eight distances
 * of every cell; the third wants the rest where the surface is, as rows that the second has named. `extractMesh` is the
 * three in one for predictions that are at hand.
 */
import { InputError, ShapeError } from '@pergola/core';
import { CELL_WEIGHTS } from './cell-record.ts';
import { checkCoords } from './coordinates.ts';
import { findSurface, type CrossedPoints, type SurfaceCells } from './flexicubes-cells.ts';
import {
  arrangeCells,
  averageDistances,
  type CellGrid,
  type DistanceField,
} from './flexicubes-grid.ts';
import { cornersAtPoints, evaluatePoints, rowsOfSurface } from './flexicubes-points.ts';
import { connectQuads } from './flexicubes-quads.ts';
import { placeDualVertices } from './flexicubes-vertices.ts';
import type { Mesh } from './mesh.ts';
import { MAX_LATTICE_RESOLUTION } from './sparse-lattice.ts';

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
  /** @internal */
  readonly parts: {
    readonly grid: CellGrid;
    readonly field: DistanceField;
    readonly surface: SurfaceCells;
    readonly points: CrossedPoints;
  };
}

/** Predictions where the surface is. */
export interface SurfacePredictions {
  /** `[S, 21]` weights of the rows `cellRows`; ignored for -1. */
  readonly weights: Float32Array;
  /** `[P, 3]` displacements summed over the lists of `pointCorners`, from the first list to the last. */
  readonly displacements: Float32Array;
  /** `[P, 6]` colours and normals summed likewise, or null where the network predicts none. */
  readonly attributes: Float32Array | null;
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
  const { resolution } = { ...MESH_EXTRACTION_DEFAULTS, ...options };
  if (!Number.isInteger(resolution) || resolution < 1 || resolution > MAX_LATTICE_RESOLUTION) {
    throw new InputError(
      `extractMesh: resolution must be an integer from 1 to ${MAX_LATTICE_RESOLUTION}, got ${resolution}.`,
    );
  }
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
  const field = averageDistances(grid, distances, stride);
  const { surface, points } = findSurface(grid, field);
  return {
    cellRows: rowsOfSurface(grid, surface),
    pointCorners: cornersAtPoints(grid, points),
    parts: { grid, field, surface, points },
  };
}

/**
 * Builds the mesh.
 *
 * @throws ShapeError when the predictions do not fit the surface.
 */
export function buildSurfaceMesh(
  { cellRows, parts }: MeshSurface,
  { weights, displacements, attributes }: SurfacePredictions,
): ExtractedMesh {
  const { grid, field, surface, points } = parts;
  checkLength('weights', weights, surface.count, CELL_WEIGHTS);
  checkLength('displacements', displacements, points.count, 3);
  if (attributes !== null) checkLength('attributes', attributes, points.count, 6);
  const values = evaluatePoints(grid, field, points, displacements, attributes);
  const dual = placeDualVertices(grid.lattice, surface, points, values, cellRows, weights);
  return {
    kind: 'mesh',
    vertices: dual.positions,
    faces: connectQuads(grid.lattice.resolution, surface, dual),
    colors: dual.colors,
    normals: dual.normals,
    success: surface.count > 0,
  };
}

function checkLength(name: string, array: Float32Array, rows: number, columns: number): void {
  if (array.length === rows * columns) return;
  throw new ShapeError(
    `extractMesh: ${name} must be [${rows}, ${columns}], got ${array.length} numbers.`,
  );
}
