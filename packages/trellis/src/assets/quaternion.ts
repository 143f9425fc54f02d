/** Rotations as unit quaternions (w, x, y, z). */

/** Writes the rotation matrix, row-major, of the unit quaternion (w, x, y, z) at `at`. */
export function rotationMatrix(rotations: Float32Array, at: number, out: Float64Array): void {
  const w = rotations[at]!;
  const x = rotations[at + 1]!;
  const y = rotations[at + 2]!;
  const z = rotations[at + 3]!;
  out[0] = 1 - 2 * (y * y + z * z);
  out[1] = 2 * (x * y - w * z);
  out[2] = 2 * (x * z + w * y);
  out[3] = 2 * (x * y + w * z);
  out[4] = 1 - 2 * (x * x + z * z);
  out[5] = 2 * (y * z - w * x);
  out[6] = 2 * (x * z - w * y);
  out[7] = 2 * (y * z + w * x);
  out[8] = 1 - 2 * (x * x + y * y);
}

/** Multiplies a quaternion from the left by the rotation about x whose half-angle sine is given; largest part positive. */
export function turnAboutX(q: Float32Array, at: number, sine: number, out: Float64Array): void {
  const cosine = Math.sqrt(1 - sine * sine);
  const w = q[at]!;
  const x = q[at + 1]!;
  const y = q[at + 2]!;
  const z = q[at + 3]!;
  out[0] = cosine * w - sine * x;
  out[1] = cosine * x + sine * w;
  out[2] = cosine * y - sine * z;
  out[3] = cosine * z + sine * y;
  let largest = 0;
  for (let i = 1; i < 4; i++) if (Math.abs(out[i]!) > Math.abs(out[largest]!)) largest = i;
  const norm = Math.max(Math.hypot(...out), 1e-12) * (out[largest]! < 0 ? -1 : 1);
  for (let i = 0; i < 4; i++) out[i] = out[i]! / norm;
}
