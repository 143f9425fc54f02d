/** Voxel sets of the conformance cases: small, seeded, and each awkward in its own way. */
import { allocateValues, type HostTensor } from '@pergola/core';
import { indices, type InputFill } from '@pergola/core/conformance';
import { hashCapacity } from '../ops/checks.ts';
import { buildHashOp } from '../ops/hash.ts';

/** Batch, x, y, z. */
export type Voxel = readonly [batch: number, x: number, y: number, z: number];

/** A deterministic permutation of a list. */
function shuffled<T>(list: readonly T[]): T[] {
  const out = [...list];
  let state = 12345;
  for (let i = out.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

/** All voxels of a box for which `inside` holds, ascending. */
function box(
  batch: number,
  from: number,
  to: number,
  inside: (x: number, y: number, z: number) => boolean,
): Voxel[] {
  const out: Voxel[] = [];
  for (let x = from; x <= to; x++) {
    for (let y = from; y <= to; y++) {
      for (let z = from; z <= to; z++) if (inside(x, y, z)) out.push([batch, x, y, z]);
    }
  }
  return out;
}

function shell(batch: number, radius: number): Voxel[] {
  return box(batch, -8, 8, (x, y, z) => Math.abs(Math.hypot(x, y, z) - radius) < 0.5);
}

/** Two shells of a sphere, one voxel thick, the second batch element in shuffled order: about 400 voxels. */
export function shells(): Voxel[] {
  return [...shell(0, 4), ...shuffled(shell(1, 3))];
}

/** A full cube of side 7: every neighbourhood inside is complete. */
export function cube(): Voxel[] {
  return box(0, 0, 6, () => true);
}

/** Voxels that touch nobody. */
export function scattered(): Voxel[] {
  return Array.from({ length: 33 }, (_, i): Voxel => [
    i < 20 ? 0 : 2,
    (i * 7919) % 3000,
    -((i * 104729) % 3000),
    10 * i,
  ]);
}

/** The corners of the coordinate range and their inner neighbours, in extreme batches. */
export function corners(): Voxel[] {
  const ends = [-32768, -32767, 32766, 32767];
  return [-2147483648, -1, 0, 2147483647].flatMap((batch) =>
    ends.flatMap((x) => ends.flatMap((y) => ends.map((z): Voxel => [batch, x, y, z]))),
  );
}

/** The first voxels of the shells. */
export function few(count: number): Voxel[] {
  return shells().slice(0, count);
}

/** Voxels with many repetitions, in shuffled order. */
export function repeated(): Voxel[] {
  return shuffled([...few(41), ...few(41), ...few(13), ...scattered(), ...few(13)]);
}

/** A coordinate input. */
export function coordsInput(voxels: readonly Voxel[]): InputFill {
  return indices([voxels.length, 4], voxels.flat());
}

/** The table of a coordinate list, as `buildHash` makes it. */
export function tableOf(voxels: readonly Voxel[]): Int32Array {
  const coords: HostTensor = {
    dtype: 'i32',
    shape: [voxels.length, 4],
    data: Int32Array.from(voxels.flat()),
  };
  const capacity = hashCapacity(voxels.length);
  const slots = allocateValues('i32', capacity) as Int32Array;
  buildHashOp.reference([coords], {}, [{ dtype: 'i32', shape: [capacity], data: slots }]);
  return slots;
}

/** The table of a coordinate list as an input. */
export function tableInput(voxels: readonly Voxel[]): InputFill {
  const slots = tableOf(voxels);
  return indices([slots.length], [...slots]);
}

/** Submanifold neighbour map of a voxel set, row-major `[N, k^3]`. */
export function neighborsOf(voxels: readonly Voxel[], kernelSize: number): number[] {
  const rows = new Map(voxels.map((voxel, row) => [voxel.join(), row]));
  const reach = (kernelSize - 1) / 2;
  const steps = Array.from({ length: kernelSize }, (_, i) => i - reach);
  return voxels.flatMap(([batch, x, y, z]) =>
    steps.flatMap((dx) =>
      steps.flatMap((dy) =>
        steps.map((dz) => rows.get([batch, x + dx, y + dy, z + dz].join()) ?? -1),
      ),
    ),
  );
}
