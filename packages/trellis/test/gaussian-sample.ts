/** Valid Gaussians with repeatable values, for what takes Gaussians from anywhere. */
import type { Gaussians } from '@pergola/trellis';
import { synthInput } from '../../../testdata/synthetic.ts';

/** Gaussians within the unit cube: scales about `scale`, any rotation, opacities between 0.05 and 0.95. */
export function sampleGaussians(count: number, scale = 0.01): Gaussians {
  const rotations = synthInput('gaussian rotations', [count, 4]);
  for (let i = 0; i < rotations.length; i += 4) {
    const quaternion = rotations.subarray(i, i + 4);
    const norm = Math.hypot(...quaternion);
    quaternion.forEach((part, axis) => (quaternion[axis] = part / norm));
  }
  const squashed = (name: string, width: number): Float32Array =>
    synthInput(name, [count, width]).map((v) => 0.9 / (1 + Math.exp(-3 * v)) - 0.45);
  return {
    kind: 'gaussians',
    count,
    positions: squashed('gaussian positions', 3),
    scales: synthInput('gaussian scales', [count, 3]).map((v) => scale * Math.exp(0.5 * v)),
    rotations,
    opacities: squashed('gaussian opacities', 1).map((v) => v + 0.5),
    harmonics: synthInput('gaussian harmonics', [count, 3]),
  };
}
