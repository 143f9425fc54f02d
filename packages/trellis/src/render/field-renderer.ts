/**
 * Software renderer of radiance fields: rays march through the leaves, front to back.
 *
 * All rays step on one lattice of distances that every leaf shares, and leaves are visited in a Morton order seen from
 * the camera, which is front to back along any ray. Leaves are drawn one after the other over the pixels they cover;
 * each pixel sees the same sequence as if its own ray had been followed.
 *
 * @see Gao et al., Strivec, arXiv 2307.13226; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { sampleRadianceField, type RadianceField } from '../assets/radiance-field.ts';
import { cameraPosition, type Camera } from './camera.ts';
import { checkRenderOptions, downsampleImage, type Frame, type RenderOptions } from './frame.ts';
import { radixOrder } from './radix-sort.ts';

/** Options of `renderRadianceField`. */
export interface FieldRenderOptions extends RenderOptions {
  /** Offset of the samples along a ray, in steps, 0 to 1. Default 0.5. */
  readonly jitter: number;
}

export const FIELD_RENDER_DEFAULTS: FieldRenderOptions = {
  size: 512,
  ssaa: 1,
  background: [0, 0, 0],
  jitter: 0.5,
};

/** A rendered radiance field. */
export interface FieldFrame extends Frame {
  /** `[S, S]` depth along the view axis weighted by opacity (not divided by it). */
  readonly depth: Float32Array;
  /** `[S, S]` depth where half of the light is absorbed, 0 where that never happens. */
  readonly medianDepth: Float32Array;
}

/** Leaves nearer than this are dropped. */
const NEAR_DEPTH = 0.2;
const MAX_ALPHA = 0.999;
const MIN_TRANSMITTANCE = 0.001;
/** Bits of a leaf coordinate in the Morton code. */
const CODE_BITS = 10;

/**
 * Renders a radiance field.
 *
 * @throws InputError for options that do not fit.
 */
export function renderRadianceField(
  field: RadianceField,
  camera: Camera,
  options: Partial<FieldRenderOptions> = {},
): FieldFrame {
  const settings = { ...FIELD_RENDER_DEFAULTS, ...options };
  const { size, ssaa, background, jitter } = settings;
  checkRenderOptions('renderRadianceField', settings);
  const side = size * ssaa;
  const march = new March(field, camera, side, jitter);
  const order = radixOrder(leafCodes(field, camera));
  for (const leaf of order) march.drawLeaf(leaf);

  const { color, transmittance, depth, median } = march;
  for (let pixel = 0; pixel < side * side; pixel++) {
    for (let c = 0; c < 3; c++) {
      color[pixel * 3 + c] = color[pixel * 3 + c]! + transmittance[pixel]! * background[c]!;
    }
  }
  return {
    size,
    color: downsampleImage(color, side, 3, ssaa),
    alpha: downsampleImage(
      transmittance.map((t) => 1 - t),
      side,
      1,
      ssaa,
    ),
    depth: downsampleImage(depth, side, 1, ssaa),
    medianDepth: downsampleImage(median, side, 1, ssaa),
  };
}

/**
 * Sorting keys of the leaves, ascending from the camera outwards.
 *
 * A Morton code visits the two halves of every octree node low side first; where the camera stands beyond the middle of
 * a node, the bit is flipped so that its own half comes first.
 */
export function leafCodes(field: RadianceField, camera: Camera): Uint32Array {
  const levels = Math.log2(field.resolution);
  const scale = 1 << CODE_BITS;
  const eye = cameraPosition(camera);
  const codes = new Uint32Array(field.count);
  for (let axis = 0; axis < 3; axis++) {
    const viewer = Math.trunc(scale * Math.min(Math.max(eye[axis]! + 0.5, 0), 1));
    for (let leaf = 0; leaf < field.count; leaf++) {
      const position = Math.trunc(scale * field.positions[leaf * 3 + axis]!);
      let bits = position;
      for (let level = 1; level <= levels; level++) {
        // The low half of the node at this level against the half that the camera is level with.
        const low = 2 * (position >> (CODE_BITS + 1 - level));
        if (low < viewer >> (CODE_BITS - level)) bits ^= 1 << (CODE_BITS - level);
      }
      codes[leaf] = (codes[leaf]! | (spread(bits) << axis)) >>> 0;
    }
  }
  return codes;
}

/** Moves bit i of a 10-bit number to bit 3 i. */
function spread(bits: number): number {
  let out = 0;
  for (let bit = 0; bit < CODE_BITS; bit++) out |= ((bits >> bit) & 1) << (3 * bit);
  return out;
}

/** Rays of one picture and what they have gathered. */
class March {
  readonly color: Float32Array;
  readonly transmittance: Float32Array;
  readonly depth: Float32Array;
  readonly median: Float32Array;
  readonly #field: RadianceField;
  readonly #camera: Camera;
  readonly #side: number;
  readonly #jitter: number;
  readonly #tangent: number;
  readonly #eye: Float64Array;
  /** `[side, side, 3]` unit directions in the world. */
  readonly #directions: Float32Array;
  readonly #sample = new Float64Array(4);

  constructor(field: RadianceField, camera: Camera, side: number, jitter: number) {
    this.#field = field;
    this.#camera = camera;
    this.#side = side;
    this.#jitter = jitter;
    this.#tangent = Math.tan(camera.fov / 2);
    this.#eye = cameraPosition(camera);
    this.color = new Float32Array(side * side * 3);
    this.transmittance = new Float32Array(side * side).fill(1);
    this.depth = new Float32Array(side * side);
    this.median = new Float32Array(side * side);
    this.#directions = new Float32Array(side * side * 3);
    const m = camera.extrinsics;
    for (let py = 0; py < side; py++) {
      const v = ((2 * (py + 0.5)) / side - 1) * this.#tangent;
      for (let px = 0; px < side; px++) {
        const u = ((2 * (px + 0.5)) / side - 1) * this.#tangent;
        const length = Math.hypot(u, v, 1);
        for (let axis = 0; axis < 3; axis++) {
          this.#directions[(py * side + px) * 3 + axis] =
            (u * m[axis]! + v * m[4 + axis]! + m[8 + axis]!) / length;
        }
      }
    }
  }

  drawLeaf(leaf: number): void {
    const field = this.#field;
    const edge = 1 / field.resolution;
    const cx = field.positions[leaf * 3]! - 0.5;
    const cy = field.positions[leaf * 3 + 1]! - 0.5;
    const cz = field.positions[leaf * 3 + 2]! - 0.5;
    const box = this.#bounds(cx, cy, cz, edge);
    if (box === undefined) return;
    const [left, top, right, bottom] = box;
    for (let py = top; py < bottom; py++) {
      for (let px = left; px < right; px++) {
        const pixel = py * this.#side + px;
        if (this.transmittance[pixel]! < MIN_TRANSMITTANCE) continue;
        this.#marchLeaf(leaf, pixel, cx - edge / 2, cy - edge / 2, cz - edge / 2);
      }
    }
  }

  /** Pixels `[left, top, right, bottom)` that a leaf may cover, undefined when there are none. */
  #bounds(
    cx: number,
    cy: number,
    cz: number,
    edge: number,
  ): [number, number, number, number] | undefined {
    const m = this.#camera.extrinsics;
    const side = this.#side;
    if (m[8]! * cx + m[9]! * cy + m[10]! * cz + m[11]! <= NEAR_DEPTH) return undefined;
    let left = side;
    let top = side;
    let right = 0;
    let bottom = 0;
    for (let corner = 0; corner < 8; corner++) {
      const x = cx + ((corner & 1) - 0.5) * edge;
      const y = cy + (((corner >> 1) & 1) - 0.5) * edge;
      const z = cz + ((corner >> 2) - 0.5) * edge;
      const w = (m[8]! * x + m[9]! * y + m[10]! * z + m[11]! + 1e-7) * this.#tangent;
      const u = (m[0]! * x + m[1]! * y + m[2]! * z + m[3]!) / w;
      const v = (m[4]! * x + m[5]! * y + m[6]! * z + m[7]!) / w;
      const px = Math.trunc(((u + 1) / 2) * side);
      const py = Math.trunc(((v + 1) / 2) * side);
      left = Math.min(left, px);
      top = Math.min(top, py);
      right = Math.max(right, px + 1);
      bottom = Math.max(bottom, py + 1);
    }
    left = Math.max(left, 0);
    top = Math.max(top, 0);
    right = Math.min(right, side);
    bottom = Math.min(bottom, side);
    return left < right && top < bottom ? [left, top, right, bottom] : undefined;
  }

  /** Adds the samples of one ray within one leaf whose lowest corner is given. */
  #marchLeaf(leaf: number, pixel: number, lx: number, ly: number, lz: number): void {
    const field = this.#field;
    const { resolution } = field;
    const edge = 1 / resolution;
    const dx = this.#directions[pixel * 3]!;
    const dy = this.#directions[pixel * 3 + 1]!;
    const dz = this.#directions[pixel * 3 + 2]!;
    const ox = this.#eye[0]! - lx;
    const oy = this.#eye[1]! - ly;
    const oz = this.#eye[2]! - lz;
    const ix = dx === 0 ? 1e10 : 1 / dx;
    const iy = dy === 0 ? 1e10 : 1 / dy;
    const iz = dz === 0 ? 1e10 : 1 / dz;
    const ax = -ox * ix;
    const bx = (edge - ox) * ix;
    const ay = -oy * iy;
    const by = (edge - oy) * iy;
    const az = -oz * iz;
    const bz = (edge - oz) * iz;
    const enter = Math.max(Math.min(ax, bx), Math.min(ay, by), Math.min(az, bz));
    const leave = Math.min(Math.max(ax, bx), Math.max(ay, by), Math.max(az, bz));
    if (!(leave > enter)) return;

    const step = (0.5 / field.dim) * edge;
    const first = Math.ceil(enter / step - this.#jitter);
    const last = Math.floor(leave / step - this.#jitter);
    const sample = this.#sample;
    // Depth along the axis of a distance along the ray.
    const m = this.#camera.extrinsics;
    const axial = dx * m[8]! + dy * m[9]! + dz * m[10]!;
    let light = this.transmittance[pixel]!;
    for (let k = first; k <= last; k++) {
      const t = (k + this.#jitter) * step;
      sampleRadianceField(
        field,
        leaf,
        (ox + t * dx) * resolution,
        (oy + t * dy) * resolution,
        (oz + t * dz) * resolution,
        sample,
      );
      const alpha = Math.min(1 - Math.exp(-sample[0]! * step), MAX_ALPHA);
      const share = alpha * light;
      for (let c = 0; c < 3; c++) {
        this.color[pixel * 3 + c] = this.color[pixel * 3 + c]! + sample[1 + c]! * share;
      }
      this.depth[pixel] = this.depth[pixel]! + t * axial * share;
      const before = light;
      light *= 1 - alpha;
      if (before >= 0.5 && light < 0.5) this.median[pixel] = t * axial;
      if (light < MIN_TRANSMITTANCE) break;
    }
    this.transmittance[pixel] = light;
  }
}
