/** Pinhole cameras. Camera axes follow OpenCV: x right, y down, z forward; the world is z up. */
import { InputError } from '@pergola/core';
import { radicalInverse } from '../assets/hammersley.ts';

/** A square pinhole camera whose axis passes through the middle of the picture. */
export interface Camera {
  /** `[4, 4]` row-major: world to camera. */
  readonly extrinsics: Float32Array;
  /** Full opening angle, radians, in (0, pi). */
  readonly fov: number;
}

/** Where a camera stands that looks at the origin. */
export interface OrbitOptions {
  /** Radians; 0 looks from +y, a quarter turn from +x. */
  readonly yaw: number;
  /** Radians above the horizon. */
  readonly pitch: number;
  /** Distance from the origin. Default 2. */
  readonly radius?: number;
  /** Full opening angle, radians. Default 40 degrees. */
  readonly fov?: number;
}

const DEGREE = Math.PI / 180;

export const ORBIT_DEFAULTS: { readonly radius: number; readonly fov: number } = {
  radius: 2,
  fov: 40 * DEGREE,
};

/**
 * A camera on a sphere round the origin, looking inwards with the z axis up.
 *
 * Computed in f32: straight above or below, the rounding of the cosine decides which way is up, and the published views
 * rely on it.
 *
 * @throws InputError for a radius that is not positive or an angle outside (0, pi).
 */
export function orbitCamera(options: OrbitOptions): Camera {
  const { radius, fov, yaw, pitch } = { ...ORBIT_DEFAULTS, ...options };
  if (!(radius > 0 && Number.isFinite(radius))) {
    throw new InputError(`orbitCamera: radius must be a positive number, got ${radius}.`);
  }
  if (!(fov > 0 && fov < Math.PI)) {
    throw new InputError(`orbitCamera: fov must lie between 0 and pi, got ${fov}.`);
  }
  if (!Number.isFinite(yaw) || !Number.isFinite(pitch)) {
    throw new InputError(`orbitCamera: yaw and pitch must be finite, got ${yaw} and ${pitch}.`);
  }
  const f32 = Math.fround;
  const sinYaw = f32(Math.sin(f32(yaw)));
  const cosYaw = f32(Math.cos(f32(yaw)));
  const sinPitch = f32(Math.sin(f32(pitch)));
  const cosPitch = f32(Math.cos(f32(pitch)));
  const eye = Float32Array.of(
    f32(sinYaw * cosPitch) * radius,
    f32(cosYaw * cosPitch) * radius,
    sinPitch * radius,
  );
  const z = eye.map((v) => -v);
  const x = normalized(cross(Float32Array.of(0, 0, -1), z));
  const y = normalized(cross(z, x));
  const extrinsics = new Float32Array(16);
  [x, y, normalized(z)].forEach((axis, row) => {
    extrinsics.set(axis, row * 4);
    extrinsics[row * 4 + 3] = -(axis[0]! * eye[0]! + axis[1]! * eye[1]! + axis[2]! * eye[2]!);
  });
  extrinsics[15] = 1;
  return { extrinsics, fov };
}

function cross(a: Float32Array, b: Float32Array): Float32Array {
  return Float32Array.of(
    a[1]! * b[2]! - a[2]! * b[1]!,
    a[2]! * b[0]! - a[0]! * b[2]!,
    a[0]! * b[1]! - a[1]! * b[0]!,
  );
}

function normalized(v: Float32Array): Float32Array {
  const length = Math.hypot(v[0]!, v[1]!, v[2]!);
  return v.map((c) => c / length);
}

/** Position of a camera in the world, `[3]`. */
export function cameraPosition(camera: Camera): Float64Array {
  const m = camera.extrinsics;
  return Float64Array.from(
    [0, 1, 2],
    (axis) => -(m[axis]! * m[3]! + m[4 + axis]! * m[7]! + m[8 + axis]! * m[11]!),
  );
}

/**
 * Perspective matrix `[4, 4]`, row-major, for column vectors in camera axes: clip y points down, w is the depth, and
 * z/w runs from 0 at `near` to 1 at `far`.
 */
export function projectionMatrix(camera: Camera, near: number, far: number): Float32Array {
  const focal = 1 / Math.tan(camera.fov / 2);
  const out = new Float32Array(16);
  out[0] = focal;
  out[5] = focal;
  out[10] = far / (far - near);
  out[11] = (near * far) / (near - far);
  out[14] = 1;
  return out;
}

/** Cameras at equal steps of yaw, from 16 degrees before the first axis, 20 degrees up, far away with a narrow lens. */
export function snapshotCameras(count = 4): Camera[] {
  return Array.from({ length: count }, (_, i) =>
    orbitCamera({
      yaw: ((360 * i) / count - 16) * DEGREE,
      pitch: 20 * DEGREE,
      radius: 10,
      fov: 8 * DEGREE,
    }),
  );
}

/** Cameras spread evenly over the sphere by a Hammersley set; the first looks straight up from below. */
export function hammersleyCameras(
  count: number,
  options: { readonly radius?: number; readonly fov?: number } = {},
): Camera[] {
  return Array.from({ length: count }, (_, i) =>
    orbitCamera({
      ...options,
      yaw: 2 * Math.PI * radicalInverse(i, 2),
      pitch: Math.acos(1 - (2 * i) / count) - Math.PI / 2,
    }),
  );
}

/** One round trip that rises and sinks on the way. */
export function turntableCameras(
  count = 300,
  options: { readonly radius?: number; readonly fov?: number } = {},
): Camera[] {
  // The published videos end at 6.283, a little short of the full turn, so that the last frame nearly repeats the first.
  const end = 6.283;
  return Array.from({ length: count }, (_, i) => {
    const angle = count === 1 ? 0 : (end * i) / (count - 1);
    return orbitCamera({ ...options, yaw: angle, pitch: 0.25 + 0.5 * Math.sin(angle) });
  });
}
