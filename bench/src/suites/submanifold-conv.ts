/** Submanifold 3^3 convolution over the benchmark shell. */
import type { Device } from '@pergola/core';
import { SparseStructure, submConv3d } from '@pergola/sparse';
import { fillUniform } from '../contenders.ts';
import type { Contender, Workload } from '../runner.ts';
import { voxelShell } from '../voxel-shell.ts';

/** One number for each voxel, in which a step along an axis is a fixed difference. */
function key(x: number, y: number, z: number): number {
  return (x * 128 + y) * 128 + z;
}

/** Pairs (voxel, neighbour) that exist under a 3^3 kernel. */
function countPairs(coords: Int32Array): number {
  const active = new Set<number>();
  for (let row = 0; row < coords.length; row += 4) {
    active.add(key(coords[row + 1]! + 1, coords[row + 2]! + 1, coords[row + 3]! + 1));
  }
  let pairs = 0;
  for (const at of active) {
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (let dz = -1; dz <= 1; dz++) {
          if (active.has(at + key(dx, dy, dz))) pairs++;
        }
      }
    }
  }
  return pairs;
}

/** `cin -> cout` channels; the arithmetic counted is that of existing neighbour pairs only. */
export function submanifoldConvWorkload(
  cin: number,
  cout: number,
  devices: Readonly<Record<string, Device>>,
): Workload {
  const coords = voxelShell();
  const voxels = coords.length / 4;
  return {
    name: `submanifold conv f32 3^3 ${voxels} voxels ${cin} -> ${cout}`,
    flops: 2 * countPairs(coords) * cin * cout,
    async contenders() {
      const list: Contender[] = [];
      for (const [name, device] of Object.entries(devices)) {
        const table = device.tensor(coords, [voxels, 4]);
        const structure = await SparseStructure.create(table);
        const map = await structure.kernelMap({ kernelSize: 3 });
        const x = device.tensor(fillUniform(voxels * cin), [voxels, cin]);
        const weight = device.tensor(fillUniform(27 * cin * cout), [cout, 3, 3, 3, cin]);
        list.push({
          name,
          async run() {
            submConv3d(x, weight, undefined, map).dispose();
            await device.sync();
          },
          dispose() {
            for (const resource of [x, weight, structure, table]) resource.dispose();
          },
        });
      }
      return list;
    },
  };
}
