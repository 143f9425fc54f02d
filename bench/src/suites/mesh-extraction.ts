/** Mesh extraction from predictions of published size, whole and by stages, and what is done with the mesh. */
import { resourceUsage } from 'node:process';
import type { Device } from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  arrangeMeshCells,
  arrangeMeshVoxels,
  extractMesh,
  findMeshSurface,
  readMeshes,
  renderMesh,
  snapshotCameras,
  writeGlb,
  type ExtractedMesh,
} from '@pergola/trellis';
import {
  CELL_CHANNELS,
  CELL_DISTANCES as DISTANCES,
  CELL_RESOLUTION,
  meshCells,
} from '../mesh-cells.ts';
import type { Contender, Workload } from '../runner.ts';
import { voxelShell } from '../voxel-shell.ts';

/** Something that runs on the host and is done when it returns. */
function hostContender(name: string, body: () => unknown): Contender {
  return {
    name,
    async run() {
      await body();
    },
  };
}

function distancesOf(features: Float32Array): Float32Array {
  const out = new Float32Array((features.length / CELL_CHANNELS) * DISTANCES);
  for (let at = 0; at < out.length; at++) {
    out[at] = features[Math.floor(at / DISTANCES) * CELL_CHANNELS + (at % DISTANCES)]!;
  }
  return out;
}

async function deviceContender(
  name: string,
  device: Device,
  coords: Int32Array,
  features: Float32Array,
): Promise<Contender> {
  const rows = coords.length / 4;
  using table = device.tensor(coords, [rows, 4]);
  const structure = await SparseStructure.create(table);
  const feats = device.tensor(features, [rows, CELL_CHANNELS]);
  const cells = new SparseTensor(structure, feats);
  const voxels = voxelShell();
  return {
    name,
    async run() {
      await readMeshes(cells, () => [arrangeMeshVoxels(voxels, voxels.length / 4)]);
    },
    dispose() {
      for (const resource of [feats, structure]) resource.dispose();
    },
  };
}

function describeMesh(cells: number, surfaceCells: number, mesh: ExtractedMesh): string {
  const memory = Math.round(resourceUsage().maxRSS / 1024);
  return [
    `${cells} cells`,
    `${surfaceCells} on the surface`,
    `${mesh.vertices.length / 3} vertices`,
    `${mesh.faces.length / 3} faces`,
    `peak memory of the process ${memory} MiB`,
  ].join(', ');
}

/** One picture's worth of cells: extraction, then the GLB and one view of the mesh. */
export function meshExtractionWorkload(devices: Readonly<Record<string, Device>>): Workload {
  let note = '';
  return {
    name: `mesh extraction ${CELL_RESOLUTION}^3 shell, ${CELL_CHANNELS} channels`,
    note: () => note,
    async contenders() {
      const { coords, features } = meshCells();
      const count = coords.length / 4;
      const distances = distancesOf(features);
      const cells = arrangeMeshCells(coords, count);
      const voxels = voxelShell();
      const mesh = extractMesh(coords, features);
      const [camera] = snapshotCameras(1);
      const { cellRows } = findMeshSurface(cells, distances);
      const list = [
        hostContender('extractMesh', () => {
          extractMesh(coords, features);
          note = describeMesh(count, cellRows.length, mesh);
        }),
        hostContender('cells arranged', () => arrangeMeshCells(coords, count)),
        hostContender('cells of voxels arranged', () =>
          arrangeMeshVoxels(voxels, voxels.length / 4),
        ),
        hostContender('surface found', () => findMeshSurface(cells, distances).pointCorners),
        hostContender('GLB written', () => writeGlb(mesh)),
        hostContender('view of 512^2', () => renderMesh(mesh, camera!, { shading: 'smooth' })),
      ];
      for (const [name, device] of Object.entries(devices)) {
        list.push(await deviceContender(`by stages, ${name}`, device, coords, features));
      }
      return list;
    },
  };
}
