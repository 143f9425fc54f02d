/**
 * Triangle rasteriser: for each pixel, the nearest triangle and where in it the pixel's centre lies.
 *
 * Corners are snapped to 1/16 pixel for coverage, with the top-left rule on shared edges; barycentric coordinates come
 * from the unsnapped corners in homogeneous form, so they are exact in perspective and need no clipping.
 */
import { projectionMatrix, type Camera } from './camera.ts';

/** What the pixels of a square picture see. */
export interface Raster {
  readonly side: number;
  /** `[side, side]` face number, -1 where empty. */
  readonly face: Int32Array;
  /** `[side, side, 2]` weights of the first and second corner. */
  readonly weights: Float32Array;
  /** `[side, side]` z/w, 1 where empty. */
  readonly depth: Float32Array;
}

/** Snapping grid of pixel coordinates. */
const SUBPIXEL = 16;
/** Snapped coordinates are kept below this, so that edge products stay exact in f64. */
const MAX_SNAPPED = 2 ** 24;

/** Rasterises a mesh; both sides of a face are seen. Points between the `near` plane's half and `far` are kept. */
export function rasterize(
  vertices: Float32Array,
  faces: Uint32Array,
  camera: Camera,
  side: number,
  near: number,
  far: number,
): Raster {
  const clip = clipPositions(vertices, camera, near, far);
  const raster = {
    side,
    face: new Int32Array(side * side).fill(-1),
    weights: new Float32Array(side * side * 2),
    depth: new Float32Array(side * side).fill(1),
  };
  const screen = projectVertices(clip, side);
  const polygon = new Float64Array(8);
  const triangle = new Float64Array(12);
  for (let f = 0; f < faces.length; f += 3) {
    const a = faces[f]!;
    const b = faces[f + 1]!;
    const c = faces[f + 2]!;
    const behind =
      Number(isBehind(clip, a)) + Number(isBehind(clip, b)) + Number(isBehind(clip, c));
    if (behind === 3) continue;
    // Most faces of a fine mesh lie between the centres of the pixels.
    if (behind === 0 && !meetsPixel(screen, a, b, c, side)) continue;
    loadCorner(clip, a, triangle, 0);
    loadCorner(clip, b, triangle, 4);
    loadCorner(clip, c, triangle, 8);
    let corners = 3;
    if (behind === 0) {
      loadPosition(screen, a, polygon, 0);
      loadPosition(screen, b, polygon, 2);
      loadPosition(screen, c, polygon, 4);
    } else {
      corners = clipCorners(triangle, side, polygon);
    }
    // A clipped triangle has up to four corners: a fan of one or two triangles.
    for (let i = 2; i < corners; i++) fill(raster, polygon, i, triangle, f / 3);
  }
  return raster;
}

/** True for a vertex before the near plane `z = -w`. */
function isBehind(clip: Float64Array, vertex: number): boolean {
  return clip[vertex * 4 + 2]! < -clip[vertex * 4 + 3]!;
}

function loadCorner(clip: Float64Array, vertex: number, triangle: Float64Array, at: number): void {
  const from = vertex * 4;
  triangle[at] = clip[from]!;
  triangle[at + 1] = clip[from + 1]!;
  triangle[at + 2] = clip[from + 2]!;
  triangle[at + 3] = clip[from + 3]!;
}

function loadPosition(screen: Int32Array, vertex: number, polygon: Float64Array, at: number): void {
  polygon[at] = screen[vertex * 2]!;
  polygon[at + 1] = screen[vertex * 2 + 1]!;
}

/** False when the box round a triangle holds no pixel's centre. */
function meetsPixel(screen: Int32Array, a: number, b: number, c: number, side: number): boolean {
  for (let axis = 0; axis < 2; axis++) {
    const [pa, pb, pc] = [screen[a * 2 + axis]!, screen[b * 2 + axis]!, screen[c * 2 + axis]!];
    if (firstPixel(Math.min(pa, pb, pc)) > lastPixel(Math.max(pa, pb, pc), side)) return false;
  }
  return true;
}

/** First and last pixel of the picture whose centre, at an odd multiple of half a pixel, lies within snapped bounds. */
function firstPixel(least: number): number {
  return Math.max(0, Math.ceil((least - SUBPIXEL / 2) / SUBPIXEL));
}

function lastPixel(greatest: number, side: number): number {
  return Math.min(side - 1, Math.floor((greatest - SUBPIXEL / 2) / SUBPIXEL));
}

/** `[V, 4]` clip coordinates (x right, y down). */
function clipPositions(
  vertices: Float32Array,
  camera: Camera,
  near: number,
  far: number,
): Float64Array {
  const m = camera.extrinsics;
  const p = projectionMatrix(camera, near, far);
  const out = new Float64Array((vertices.length / 3) * 4);
  for (let v = 0; v < vertices.length / 3; v++) {
    const x = vertices[v * 3]!;
    const y = vertices[v * 3 + 1]!;
    const z = vertices[v * 3 + 2]!;
    const depth = m[8]! * x + m[9]! * y + m[10]! * z + m[11]!;
    out[v * 4] = p[0]! * (m[0]! * x + m[1]! * y + m[2]! * z + m[3]!);
    out[v * 4 + 1] = p[5]! * (m[4]! * x + m[5]! * y + m[6]! * z + m[7]!);
    out[v * 4 + 2] = p[10]! * depth + p[11]!;
    out[v * 4 + 3] = depth;
  }
  return out;
}

/** Snapped pixel position of one clip-space point. */
function snap(x: number, w: number, side: number): number {
  const position = Math.round(((x / w + 1) / 2) * side * SUBPIXEL);
  return Math.min(Math.max(position, -MAX_SNAPPED), MAX_SNAPPED);
}

/** `[V, 2]` snapped pixel positions; they mean nothing for vertices before the near plane. */
function projectVertices(clip: Float64Array, side: number): Int32Array {
  const out = new Int32Array(clip.length / 2);
  for (let v = 0; v < clip.length / 4; v++) {
    out[v * 2] = snap(clip[v * 4]!, clip[v * 4 + 3]!, side);
    out[v * 2 + 1] = snap(clip[v * 4 + 1]!, clip[v * 4 + 3]!, side);
  }
  return out;
}

/** Cuts off what lies before the near plane `z = -w`; returns the number of corners that remain. */
function clipCorners(triangle: Float64Array, side: number, out: Float64Array): number {
  let count = 0;
  const put = (x: number, y: number, w: number): void => {
    out[count * 2] = snap(x, w, side);
    out[count * 2 + 1] = snap(y, w, side);
    count++;
  };
  for (let i = 0; i < 3; i++) {
    const a = i * 4;
    const b = ((i + 1) % 3) * 4;
    const insideA = triangle[a + 2]! + triangle[a + 3]!;
    const insideB = triangle[b + 2]! + triangle[b + 3]!;
    if (insideA >= 0) put(triangle[a]!, triangle[a + 1]!, triangle[a + 3]!);
    if (insideA >= 0 === insideB >= 0) continue;
    const t = insideA / (insideA - insideB);
    const mix = (k: number): number => triangle[a + k]! + t * (triangle[b + k]! - triangle[a + k]!);
    put(mix(0), mix(1), mix(3));
  }
  return count;
}

/** Draws the snapped triangle of corners 0, `last - 1` and `last`. */
function fill(
  raster: Raster,
  polygon: Float64Array,
  last: number,
  triangle: Float64Array,
  face: number,
): void {
  const { side } = raster;
  const x0 = polygon[0]!;
  const y0 = polygon[1]!;
  let x1 = polygon[last * 2 - 2]!;
  let y1 = polygon[last * 2 - 1]!;
  let x2 = polygon[last * 2]!;
  let y2 = polygon[last * 2 + 1]!;
  const area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0);
  if (area === 0) return;
  if (area < 0) {
    [x1, x2] = [x2, x1];
    [y1, y2] = [y2, y1];
  }
  const left = firstPixel(Math.min(x0, x1, x2));
  const right = lastPixel(Math.max(x0, x1, x2), side);
  const top = firstPixel(Math.min(y0, y1, y2));
  const bottom = lastPixel(Math.max(y0, y1, y2), side);
  if (left > right || top > bottom) return;

  const half = SUBPIXEL / 2;
  // Edge functions are integers: 0 counts as inside on left and top edges only.
  const bias01 = topLeft(x1 - x0, y1 - y0);
  const bias12 = topLeft(x2 - x1, y2 - y1);
  const bias20 = topLeft(x0 - x2, y0 - y2);
  for (let py = top; py <= bottom; py++) {
    const cy = py * SUBPIXEL + half;
    for (let px = left; px <= right; px++) {
      const cx = px * SUBPIXEL + half;
      if ((x1 - x0) * (cy - y0) - (y1 - y0) * (cx - x0) < bias01) continue;
      if ((x2 - x1) * (cy - y1) - (y2 - y1) * (cx - x1) < bias12) continue;
      if ((x0 - x2) * (cy - y2) - (y0 - y2) * (cx - x2) < bias20) continue;
      shadePixel(raster, triangle, face, px, py);
    }
  }
}

/** Least value of an edge function that counts as inside: 0 on left and top edges, 1 on the others. */
function topLeft(dx: number, dy: number): number {
  return dy < 0 || (dy === 0 && dx > 0) ? 0 : 1;
}

/** Keeps the triangle at a pixel when it is the nearest so far. */
function shadePixel(
  raster: Raster,
  triangle: Float64Array,
  face: number,
  px: number,
  py: number,
): void {
  const { side } = raster;
  const x = (2 * px + 1) / side - 1;
  const y = (2 * py + 1) / side - 1;
  const ax = triangle[0]! - x * triangle[3]!;
  const ay = triangle[1]! - y * triangle[3]!;
  const bx = triangle[4]! - x * triangle[7]!;
  const by = triangle[5]! - y * triangle[7]!;
  const cx = triangle[8]! - x * triangle[11]!;
  const cy = triangle[9]! - y * triangle[11]!;
  const areaA = bx * cy - by * cx;
  const areaB = cx * ay - cy * ax;
  const total = areaA + areaB + (ax * by - ay * bx);
  if (total === 0) return;
  // Snapping may let a pixel in whose centre lies just outside the true triangle.
  const weightA = Math.min(Math.max(areaA / total, 0), 1);
  const weightB = Math.min(Math.max(areaB / total, 0), 1 - weightA);
  const weightC = 1 - weightA - weightB;
  const z = weightA * triangle[2]! + weightB * triangle[6]! + weightC * triangle[10]!;
  const w = weightA * triangle[3]! + weightB * triangle[7]! + weightC * triangle[11]!;
  const depth = z / w;
  const pixel = py * side + px;
  if (!(depth < raster.depth[pixel]!)) return;
  raster.depth[pixel] = depth;
  raster.face[pixel] = face;
  raster.weights[pixel * 2] = weightA;
  raster.weights[pixel * 2 + 1] = weightB;
}
