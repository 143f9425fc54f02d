/** The voxel set of the sparse benchmarks: a shell of one ellipsoid and a few spheres in a 64^3 grid. */

const RESOLUTION = 64;
// Between these the set has the size of a typical object surface at this resolution.
const MIN_VOXELS = 20_000;
const MAX_VOXELS = 22_000;

interface Ellipsoid {
  readonly center: readonly [number, number, number];
  readonly radii: readonly [number, number, number];
}

/** A 32-bit multiplicative sequence in [0, 1). */
function sequence(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

/** Signed distance estimate in voxels: exact for spheres, first order for ellipsoids. */
function distance({ center, radii }: Ellipsoid, x: number, y: number, z: number): number {
  const [dx, dy, dz] = [x - center[0], y - center[1], z - center[2]];
  const scaled = Math.hypot(dx / radii[0], dy / radii[1], dz / radii[2]);
  const gradient = Math.hypot(dx / radii[0] ** 2, dy / radii[1] ** 2, dz / radii[2] ** 2);
  return gradient === 0 ? -Math.min(...radii) : (scaled * (scaled - 1)) / gradient;
}

/** Flat grid indices within one voxel of the body's surface. */
function surface(body: Ellipsoid): number[] {
  const out: number[] = [];
  const range = (axis: 0 | 1 | 2): [number, number] => [
    Math.max(0, Math.floor(body.center[axis] - body.radii[axis] - 1)),
    Math.min(RESOLUTION - 1, Math.ceil(body.center[axis] + body.radii[axis] + 1)),
  ];
  const [[x0, x1], [y0, y1], [z0, z1]] = [range(0), range(1), range(2)];
  for (let x = x0; x <= x1; x++) {
    for (let y = y0; y <= y1; y++) {
      for (let z = z0; z <= z1; z++) {
        if (Math.abs(distance(body, x, y, z)) < 1) out.push((x * RESOLUTION + y) * RESOLUTION + z);
      }
    }
  }
  return out;
}

/**
 * Coordinates `[N, 4]` (batch 0, x, y, z), ascending, with 20,000 to 22,000 voxels; the same for the same seed.
 */
export function voxelShell(seed = 1): Int32Array {
  const random = sequence(seed);
  const voxels = new Set(surface({ center: [31.5, 31.5, 31.5], radii: [29, 24, 20] }));
  while (voxels.size < MIN_VOXELS) {
    const radius = 5 + 8 * random();
    const place = (): number => radius + random() * (RESOLUTION - 1 - 2 * radius);
    const added = surface({
      center: [place(), place(), place()],
      radii: [radius, radius, radius],
    }).filter((index) => !voxels.has(index));
    if (voxels.size + added.length > MAX_VOXELS) continue;
    for (const index of added) voxels.add(index);
  }
  const flat = [...voxels].sort((a, b) => a - b);
  const coords = new Int32Array(flat.length * 4);
  flat.forEach((index, row) => {
    coords[row * 4 + 1] = Math.floor(index / (RESOLUTION * RESOLUTION));
    coords[row * 4 + 2] = Math.floor(index / RESOLUTION) % RESOLUTION;
    coords[row * 4 + 3] = index % RESOLUTION;
  });
  return coords;
}
