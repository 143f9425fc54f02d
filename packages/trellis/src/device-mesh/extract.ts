/**
 * FlexiCubes as tensor operations: a mesh from the predictions for cells without a loop on the host.
 *
 * Gives what `extractMesh` does, vertices and faces in the same order, from predictions that stay on the device; only
 * the finished mesh is downloaded.
 *
 * @see Shen et al., FlexiCubes, arXiv 2308.05371; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { formatShape, ShapeError, type Tensor } from '@pergola/core';
import {
  CHANNELS_COLORED,
  CHANNELS_PLAIN,
  DISPLACEMENT_CHANNEL,
  DISTANCE_CHANNEL,
} from '../assets/cell-record.ts';
import type { ExtractedMesh, MeshCells } from '../assets/mesh-stages.ts';
import { findCells, numberVertices } from './cells.ts';
import { uploadLattice } from './lattice.ts';
import { meanDistances } from './points.ts';
import { connectVertices } from './quads.ts';
import { placeVertices } from './vertices.ts';

/**
 * Extracts the zero surface of one asset on the device of its predictions.
 *
 * @param cells arrangement of the cells.
 * @param records f32 `[N, 53 or 101]`, see `extractMesh`; they may still be under way.
 * @throws ShapeError when there is not one record for each cell.
 */
export async function extractMeshOnDevice(
  { grid }: MeshCells,
  records: Tensor,
): Promise<ExtractedMesh> {
  checkRecords(records, grid.slots.length);
  const { device } = records;
  return device.run(async () => {
    const lattice = uploadLattice(device, grid);
    const points = meanDistances(lattice, records.slice(1, DISTANCE_CHANNEL, DISPLACEMENT_CHANNEL));
    const surface = await findCells(lattice, points);
    if (surface.count === 0) return emptyMesh(records.shape[1] === CHANNELS_COLORED);
    const vertices = await numberVertices(surface);
    const faces = await connectVertices(lattice, points, surface, vertices, records);
    const columns = await placeVertices(lattice, points, surface, vertices, records);
    const triple = (first: number): Promise<Float32Array> =>
      columns.slice(1, first, first + 3).floats();
    const colored = columns.shape[1]! > 3;
    const [vertexNumbers, positions, colors, normals] = await Promise.all([
      faces.values() as Promise<Int32Array<ArrayBuffer>>,
      triple(0),
      colored ? triple(3) : null,
      colored ? triple(6) : null,
    ]);
    const { buffer, byteOffset, length } = vertexNumbers;
    return {
      kind: 'mesh',
      vertices: positions,
      faces: new Uint32Array(buffer, byteOffset, length),
      colors,
      normals,
      success: true,
    };
  });
}

function checkRecords({ shape }: Tensor, count: number): void {
  const [rows, channels] = shape;
  const known = channels === CHANNELS_PLAIN || channels === CHANNELS_COLORED;
  if (shape.length === 2 && rows === count && known) return;
  const forms = [CHANNELS_PLAIN, CHANNELS_COLORED].map((width) => formatShape([count, width]));
  throw new ShapeError(
    `extractMeshOnDevice: records must be ${forms.join(' or ')}, got ${formatShape(shape)}.`,
  );
}

function emptyMesh(colored: boolean): ExtractedMesh {
  return {
    kind: 'mesh',
    vertices: new Float32Array(0),
    faces: new Uint32Array(0),
    colors: colored ? new Float32Array(0) : null,
    normals: colored ? new Float32Array(0) : null,
    success: false,
  };
}
