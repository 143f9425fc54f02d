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

interface Shell {
  readonly bodies: readonly Ellipsoid[];
  /** Flat grid indices, ascending. */
  readonly voxels: readonly number[];
}

function makeShell(seed: number): Shell {
  const random = sequence(seed);
  const bodies: Ellipsoid[] = [{ center: [31.5, 31.5, 31.5], radii: [29, 24, 20] }];
  const voxels = new Set(surface(bodies[0]!));
  while (voxels.size < MIN_VOXELS) {
    const radius = 5 + 8 * random();
    const place = (): number => radius + random() * (RESOLUTION - 1 - 2 * radius);
    const body: Ellipsoid = {
      center: [place(), place(), place()],
      radii: [radius, radius, radius],
    };
    const added = surface(body).filter((index) => !voxels.has(index));
    if (voxels.size + added.length > MAX_VOXELS) continue;
    for (const index of added) voxels.add(index);
    bodies.push(body);
  }
  return { bodies, voxels: [...voxels].sort((a, b) => a - b) };
}

/**
 * Coordinates `[N, 4]` (batch 0, x, y, z), ascending, with 20,000 to 22,000 voxels; the same for the same seed.
 */
export function voxelShell(seed = 1): Int32Array {
  const { voxels } = makeShell(seed);
  const coords = new Int32Array(voxels.length * 4);
  voxels.forEach((index, row) => {
    coords[row * 4 + 1] = Math.floor(index / (RESOLUTION * RESOLUTION));
    coords[row * 4 + 2] = Math.floor(index / RESOLUTION) % RESOLUTION;
    coords[row * 4 + 3] = index % RESOLUTION;
  });
  return coords;
}

/**
 * Signed distance, in voxels, to the union of the bodies whose surfaces make up `voxelShell(seed)`; negative inside.
 * Voxel `(x, y, z)` of the shell has its centre at that point.
 */
export function shellDistance(seed = 1): (x: number, y: number, z: number) => number {
  const { bodies } = makeShell(seed);
  return (x, y, z) => {
    let least = Infinity;
    for (const body of bodies) least = Math.min(least, distance(body, x, y, z));
    return least;
  };
}
