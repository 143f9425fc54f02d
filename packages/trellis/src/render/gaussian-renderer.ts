/**
 * Software rasteriser of 3D Gaussians: projected to ellipses, sorted front to back, blended per pixel.
 *
 * Follows the tile rasteriser of the published renders, including the widening of every ellipse by a small pixel filter
 * with its opacity lowered to match. Tiles matter only as the limit of an ellipse's support, so Gaussians are drawn one
 * after the other instead of tile by tile; each pixel sees the same sequence.
 *
 * @see Kerbl et al., arXiv 2308.04079; Yu et al., Mip-Splatting, arXiv 2311.16493
 */
import { ShapeError } from '@pergola/core';
import {
  checkGaussianLengths,
  gaussianCovariances,
  SH_C0,
  type Gaussians,
} from '../assets/gaussians.ts';
import type { Camera } from './camera.ts';
import { checkRenderOptions, downsampleImage, type Frame, type RenderOptions } from './frame.ts';
import { radixOrder } from './radix-sort.ts';

/** Options of `renderGaussians`. */
export interface GaussianRenderOptions extends RenderOptions {
  /** Variance of the pixel filter, square pixels. Default 0.1. */
  readonly kernelSize: number;
  /** `[G, 3]` colours instead of the Gaussians' own, or null. Default null. */
  readonly colors: Float32Array | null;
}

export const GAUSSIAN_RENDER_DEFAULTS: GaussianRenderOptions = {
  size: 512,
  ssaa: 1,
  background: [0, 0, 0],
  kernelSize: 0.1,
  colors: null,
};

const TILE = 16;
/** Gaussians nearer than this are dropped. */
const NEAR_DEPTH = 0.2;
const MIN_ALPHA = 1 / 255;
const MAX_ALPHA = 0.99;
/** A pixel is finished before its transmittance would fall below this. */
const MIN_TRANSMITTANCE = 1e-4;

/** Floats of a projected Gaussian: mean 2, conic 3, opacity, colour 3, drawn rectangle 4. */
const SPLAT_FLOATS = 13;

/**
 * Renders Gaussians.
 *
 * @throws ShapeError, InputError for arrays or options that do not fit.
 */
export function renderGaussians(
  gaussians: Gaussians,
  camera: Camera,
  options: Partial<GaussianRenderOptions> = {},
): Frame {
  const settings = { ...GAUSSIAN_RENDER_DEFAULTS, ...options };
  const { size, ssaa, background, colors } = settings;
  checkRenderOptions('renderGaussians', settings);
  checkGaussianLengths('renderGaussians', gaussians, gaussians.count);
  if (colors !== null && colors.length !== gaussians.count * 3) {
    throw new ShapeError(
      `renderGaussians: colors must be [${gaussians.count}, 3], got ${colors.length} numbers.`,
    );
  }
  const side = size * ssaa;
  const { splats, depths, count } = projectGaussians(gaussians, camera, side, settings);
  const color = new Float32Array(side * side * 3);
  const transmittance = new Float32Array(side * side).fill(1);
  const finished = new Uint8Array(side * side);
  // Depths are positive, so their bits sort as the numbers do.
  const order = radixOrder(new Uint32Array(depths.buffer, 0, count));
  for (let i = 0; i < count; i++) {
    drawSplat(splats, order[i]! * SPLAT_FLOATS, side, color, transmittance, finished);
  }
  const alpha = transmittance.map((t) => 1 - t);
  for (let pixel = 0; pixel < transmittance.length; pixel++) {
    for (let c = 0; c < 3; c++) {
      color[pixel * 3 + c] = color[pixel * 3 + c]! + transmittance[pixel]! * background[c]!;
    }
  }
  return {
    size,
    color: downsampleImage(color, side, 3, ssaa),
    alpha: downsampleImage(alpha, side, 1, ssaa),
  };
}

function projectGaussians(
  gaussians: Gaussians,
  camera: Camera,
  side: number,
  { kernelSize, colors }: GaussianRenderOptions,
): { splats: Float64Array; depths: Float32Array; count: number } {
  const { positions, opacities, harmonics } = gaussians;
  const covariances = gaussianCovariances(gaussians);
  const m = camera.extrinsics;
  const tangent = Math.tan(camera.fov / 2);
  const focal = side / (2 * tangent);
  const limit = 1.3 * tangent;
  const tiles = Math.ceil(side / TILE);
  const splats = new Float64Array(gaussians.count * SPLAT_FLOATS);
  const depths = new Float32Array(gaussians.count);
  let count = 0;
  for (let g = 0; g < gaussians.count; g++) {
    const px = positions[g * 3]!;
    const py = positions[g * 3 + 1]!;
    const pz = positions[g * 3 + 2]!;
    const z = m[8]! * px + m[9]! * py + m[10]! * pz + m[11]!;
    if (!(z > NEAR_DEPTH)) continue;
    const x = m[0]! * px + m[1]! * py + m[2]! * pz + m[3]!;
    const y = m[4]! * px + m[5]! * py + m[6]! * pz + m[7]!;
    const meanX = ((x / tangent / (z + 1e-7) + 1) * side - 1) / 2;
    const meanY = ((y / tangent / (z + 1e-7) + 1) * side - 1) / 2;

    // First-order projection of the ellipsoid, with the direction kept within a margin of the picture.
    const tx = Math.min(Math.max(x / z, -limit), limit);
    const ty = Math.min(Math.max(y / z, -limit), limit);
    const scale = focal / z;
    const ux = scale * (m[0]! - tx * m[8]!);
    const uy = scale * (m[1]! - tx * m[9]!);
    const uz = scale * (m[2]! - tx * m[10]!);
    const vx = scale * (m[4]! - ty * m[8]!);
    const vy = scale * (m[5]! - ty * m[9]!);
    const vz = scale * (m[6]! - ty * m[10]!);
    const xx = covariances[g * 6]!;
    const xy = covariances[g * 6 + 1]!;
    const xz = covariances[g * 6 + 2]!;
    const yy = covariances[g * 6 + 3]!;
    const yz = covariances[g * 6 + 4]!;
    const zz = covariances[g * 6 + 5]!;
    const sux = xx * ux + xy * uy + xz * uz;
    const suy = xy * ux + yy * uy + yz * uz;
    const suz = xz * ux + yz * uy + zz * uz;
    let a = ux * sux + uy * suy + uz * suz;
    const b = vx * sux + vy * suy + vz * suz;
    let c =
      vx * (xx * vx + xy * vy + xz * vz) +
      vy * (xy * vx + yy * vy + yz * vz) +
      vz * (xz * vx + yz * vy + zz * vz);

    const sharp = Math.max(1e-6, a * c - b * b);
    a += kernelSize;
    c += kernelSize;
    const det = a * c - b * b;
    const wide = Math.max(1e-6, det);
    // The filter spreads the same light over a larger ellipse.
    const dimming = sharp <= 1e-6 || wide <= 1e-6 ? 0 : Math.sqrt(sharp / (wide + 1e-6) + 1e-6);
    const opacity = opacities[g]! * dimming;
    if (!(det > 0) || !(opacity >= MIN_ALPHA)) continue;

    const middle = (a + c) / 2;
    const radius = Math.ceil(
      3 * Math.sqrt(middle + Math.sqrt(Math.max(0.1, middle * middle - det))),
    );
    const tileX0 = clampTile((meanX - radius) / TILE, tiles);
    const tileX1 = clampTile((meanX + radius + TILE - 1) / TILE, tiles);
    const tileY0 = clampTile((meanY - radius) / TILE, tiles);
    const tileY1 = clampTile((meanY + radius + TILE - 1) / TILE, tiles);
    if (tileX1 <= tileX0 || tileY1 <= tileY0) continue;
    // Beyond these rows the opacity is below 1/255 and would be skipped pixel by pixel.
    const reachY = Math.sqrt(2 * Math.log(opacity / MIN_ALPHA) * c) + 1e-3;

    const at = count * SPLAT_FLOATS;
    splats[at] = meanX;
    splats[at + 1] = meanY;
    splats[at + 2] = c / det;
    splats[at + 3] = -b / det;
    splats[at + 4] = a / det;
    splats[at + 5] = opacity;
    for (let channel = 0; channel < 3; channel++) {
      splats[at + 6 + channel] =
        colors === null
          ? Math.max(0, SH_C0 * harmonics[g * 3 + channel]! + 0.5)
          : colors[g * 3 + channel]!;
    }
    splats[at + 9] = tileX0 * TILE;
    splats[at + 10] = Math.min(tileX1 * TILE, side) - 1;
    splats[at + 11] = Math.max(tileY0 * TILE, Math.ceil(meanY - reachY));
    splats[at + 12] = Math.min(tileY1 * TILE, side, Math.floor(meanY + reachY) + 1) - 1;
    depths[count] = z;
    count++;
  }
  return { splats, depths, count };
}

function clampTile(position: number, tiles: number): number {
  return Math.min(Math.max(Math.trunc(position), 0), tiles);
}

function drawSplat(
  splats: Float64Array,
  at: number,
  side: number,
  color: Float32Array,
  transmittance: Float32Array,
  finished: Uint8Array,
): void {
  const meanX = splats[at]!;
  const meanY = splats[at + 1]!;
  const conicA = splats[at + 2]!;
  const conicB = splats[at + 3]!;
  const conicC = splats[at + 4]!;
  const opacity = splats[at + 5]!;
  const red = splats[at + 6]!;
  const green = splats[at + 7]!;
  const blue = splats[at + 8]!;
  const firstX = splats[at + 9]!;
  const lastX = splats[at + 10]!;
  const lastY = splats[at + 12]!;
  const lowest = 2 * Math.log(opacity / MIN_ALPHA);
  for (let y = splats[at + 11]!; y <= lastY; y++) {
    const dy = meanY - y;
    // Span of the row within the ellipse where the opacity reaches 1/255.
    const half = (conicB * dy) ** 2 - conicA * (conicC * dy * dy - lowest);
    if (half < 0) continue;
    const center = meanX + (conicB * dy) / conicA;
    const reach = Math.sqrt(half) / conicA + 1e-3;
    const x0 = Math.max(firstX, Math.ceil(center - reach));
    const x1 = Math.min(lastX, Math.floor(center + reach));
    for (let x = x0; x <= x1; x++) {
      const pixel = y * side + x;
      if (finished[pixel] === 1) continue;
      const dx = meanX - x;
      const exponent = -0.5 * (conicA * dx * dx + conicC * dy * dy) - conicB * dx * dy;
      if (exponent > 0) continue;
      const alpha = Math.min(MAX_ALPHA, opacity * Math.exp(exponent));
      if (alpha < MIN_ALPHA) continue;
      const light = transmittance[pixel]!;
      const rest = light * (1 - alpha);
      if (rest < MIN_TRANSMITTANCE) {
        finished[pixel] = 1;
        continue;
      }
      const share = alpha * light;
      color[pixel * 3] = color[pixel * 3]! + red * share;
      color[pixel * 3 + 1] = color[pixel * 3 + 1]! + green * share;
      color[pixel * 3 + 2] = color[pixel * 3 + 2]! + blue * share;
      transmittance[pixel] = rest;
    }
  }
}
