/** Pictures of meshes: vertex colour, plain or lit, with normals and depth beside it. */
import { checkMesh, vertexNormals, type Mesh } from '../assets/mesh.ts';
import { cameraPosition, type Camera } from './camera.ts';
import {
  checkRenderOptions,
  downsampleImage,
  type Color,
  type Frame,
  type RenderOptions,
} from './frame.ts';
import { rasterize, type Raster } from './rasterizer.ts';

/** Options of `renderMesh`. */
export interface MeshRenderOptions extends RenderOptions {
  /**
   * 'none' shows the colours as they are, 'flat' and 'smooth' light them from beside the viewer by face or by vertex
   * normals. Default 'none'.
   */
  readonly shading: 'none' | 'flat' | 'smooth';
  /** Colour of a mesh that has none. Default light grey. */
  readonly plain: Color;
  /** Depth of the near and far planes. Default 1 and 100; points down to about half of `near` are still drawn. */
  readonly near: number;
  readonly far: number;
}

export const MESH_RENDER_DEFAULTS: MeshRenderOptions = {
  size: 512,
  ssaa: 2,
  background: [0, 0, 0],
  shading: 'none',
  plain: [0.8, 0.8, 0.8],
  near: 1,
  far: 100,
};

/** A rendered mesh. */
export interface MeshFrame extends Frame {
  /** `[S, S, 3]` world-space face normals as `(n + 1) / 2`; 0.5 where empty. */
  readonly normal: Float32Array;
  /** `[S, S]` distance along the view axis, 0 where empty. */
  readonly depth: Float32Array;
}

/** Light that reaches a surface turned away from the lamp, and what a full turn adds. */
const AMBIENT = 0.5;
const DIFFUSE = 0.6;

/**
 * Renders a mesh; both sides of its faces are seen.
 *
 * @throws ShapeError, InputError for a mesh or options that do not fit.
 */
export function renderMesh(
  mesh: Mesh,
  camera: Camera,
  options: Partial<MeshRenderOptions> = {},
): MeshFrame {
  const settings = { ...MESH_RENDER_DEFAULTS, ...options };
  const { size, ssaa, near, far } = settings;
  checkRenderOptions('renderMesh', settings);
  checkMesh('renderMesh', mesh);
  const side = size * ssaa;
  const raster = rasterize(mesh.vertices, mesh.faces, camera, side, near, far);
  const planes = shade(mesh, camera, raster, settings);
  return {
    size,
    color: downsampleImage(planes.color, side, 3, ssaa),
    alpha: downsampleImage(planes.alpha, side, 1, ssaa),
    normal: downsampleImage(planes.normal, side, 3, ssaa).map((n) => (n + 1) / 2),
    depth: downsampleImage(planes.depth, side, 1, ssaa),
  };
}

function shade(
  mesh: Mesh,
  camera: Camera,
  raster: Raster,
  { background, shading, plain }: MeshRenderOptions,
): { color: Float32Array; alpha: Float32Array; normal: Float32Array; depth: Float32Array } {
  const { vertices, faces, colors } = mesh;
  const pixels = raster.face.length;
  const color = new Float32Array(pixels * 3);
  const alpha = new Float32Array(pixels);
  const normal = new Float32Array(pixels * 3);
  const depth = new Float32Array(pixels);
  const corners = shading === 'smooth' ? vertexNormals(vertices, faces) : null;
  const m = camera.extrinsics;
  const eye = cameraPosition(camera);
  const lamp = lampDirection(camera);
  const flat = new Float64Array(3);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const face = raster.face[pixel]!;
    if (face < 0) {
      for (let c = 0; c < 3; c++) color[pixel * 3 + c] = background[c]!;
      continue;
    }
    const a = faces[face * 3]! * 3;
    const b = faces[face * 3 + 1]! * 3;
    const c = faces[face * 3 + 2]! * 3;
    const weightA = raster.weights[pixel * 2]!;
    const weightB = raster.weights[pixel * 2 + 1]!;
    const weightC = 1 - weightA - weightB;
    const mix = (values: Float32Array, axis: number): number =>
      weightA * values[a + axis]! + weightB * values[b + axis]! + weightC * values[c + axis]!;

    const x = mix(vertices, 0);
    const y = mix(vertices, 1);
    const z = mix(vertices, 2);
    alpha[pixel] = 1;
    depth[pixel] = m[8]! * x + m[9]! * y + m[10]! * z + m[11]!;
    faceNormal(vertices, a, b, c, flat);
    normal.set(flat, pixel * 3);

    let light = 1;
    if (shading !== 'none') {
      const nx = corners === null ? flat[0]! : mix(corners, 0);
      const ny = corners === null ? flat[1]! : mix(corners, 1);
      const nz = corners === null ? flat[2]! : mix(corners, 2);
      // A face seen from behind is lit as if it faced the viewer.
      const towards = nx * (eye[0]! - x) + ny * (eye[1]! - y) + nz * (eye[2]! - z);
      const turn = (towards < 0 ? -1 : 1) / Math.max(Math.sqrt(nx * nx + ny * ny + nz * nz), 1e-12);
      const facing = turn * (nx * lamp[0]! + ny * lamp[1]! + nz * lamp[2]!);
      light = AMBIENT + DIFFUSE * Math.max(0, facing);
    }
    for (let channel = 0; channel < 3; channel++) {
      const own = colors === null ? plain[channel]! : mix(colors, channel);
      color[pixel * 3 + channel] = light * own;
    }
  }
  return { color, alpha, normal, depth };
}

/** Unit vector towards a lamp beside, above and behind the viewer. */
function lampDirection(camera: Camera): Float64Array {
  const m = camera.extrinsics;
  const [right, down, forward] = [0.64, -0.6, -0.48];
  return Float64Array.from(
    [0, 1, 2],
    (axis) => right * m[axis]! + down * m[4 + axis]! + forward * m[8 + axis]!,
  );
}

function faceNormal(
  vertices: Float32Array,
  a: number,
  b: number,
  c: number,
  out: Float64Array,
): void {
  const ux = vertices[b]! - vertices[a]!;
  const uy = vertices[b + 1]! - vertices[a + 1]!;
  const uz = vertices[b + 2]! - vertices[a + 2]!;
  const vx = vertices[c]! - vertices[a]!;
  const vy = vertices[c + 1]! - vertices[a + 1]!;
  const vz = vertices[c + 2]! - vertices[a + 2]!;
  const nx = uy * vz - uz * vy;
  const ny = uz * vx - ux * vz;
  const nz = ux * vy - uy * vx;
  // Not `Math.hypot`, which takes ten times as long: this runs for every pixel.
  const length = Math.max(Math.sqrt(nx * nx + ny * ny + nz * nz), 1e-12);
  out[0] = nx / length;
  out[1] = ny / length;
  out[2] = nz / length;
}
