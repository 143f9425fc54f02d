/**
 * Gaussians as PLY, in the property layout of the 3D Gaussian Splatting code that viewers read.
 *
 * Stored are logits of opacity, logarithms of scale, and the world turned by a quarter about x: `(x, -z, y)`.
 */
import { InputError } from '@pergola/core';
import { logit, sigmoid } from './activations.ts';
import { checkGaussianLengths, type Gaussians } from './gaussians.ts';
import { turnAboutX } from './quaternion.ts';

const PROPERTIES = [
  'x',
  'y',
  'z',
  'nx',
  'ny',
  'nz',
  'f_dc_0',
  'f_dc_1',
  'f_dc_2',
  'opacity',
  'scale_0',
  'scale_1',
  'scale_2',
  'rot_0',
  'rot_1',
  'rot_2',
  'rot_3',
];
/** Properties that may be absent from a file: nothing here uses normals. */
const UNUSED = new Set(['nx', 'ny', 'nz']);

/** Options of `writeGaussianPly` and `readGaussianPly`. */
export interface GaussianPlyOptions {
  /** Axes of the file: 'splat' stores `(x, -z, y)` as the published tools do, 'world' the z-up coordinates as they are. Default 'splat'. */
  readonly axes: 'splat' | 'world';
}

export const GAUSSIAN_PLY_DEFAULTS: GaussianPlyOptions = { axes: 'splat' };

// Sine of half the angle: a rotation by +90 degrees about x takes (x, y, z) to (x, -z, y).
const QUARTER_TURN = Math.SQRT1_2;

/**
 * Binary little-endian PLY, 17 floats a Gaussian.
 *
 * An opacity of exactly 0 or 1 is written as minus or plus infinity. Quaternions have their largest part positive.
 *
 * @throws ShapeError when the arrays disagree about the count.
 */
export function writeGaussianPly(
  gaussians: Gaussians,
  options: Partial<GaussianPlyOptions> = {},
): Uint8Array {
  const { axes } = { ...GAUSSIAN_PLY_DEFAULTS, ...options };
  const { count, positions, harmonics, opacities, scales, rotations } = gaussians;
  checkGaussianLengths('writeGaussianPly', gaussians, count);
  const header = new TextEncoder().encode(
    [
      'ply',
      'format binary_little_endian 1.0',
      `element vertex ${count}`,
      ...PROPERTIES.map((name) => `property float ${name}`),
      'end_header',
      '',
    ].join('\n'),
  );
  const bytes = new Uint8Array(header.length + count * PROPERTIES.length * 4);
  bytes.set(header);
  const view = new DataView(bytes.buffer);
  let at = header.length;
  const put = (value: number): void => {
    view.setFloat32(at, value, true);
    at += 4;
  };
  const turned = new Float64Array(4);
  for (let g = 0; g < count; g++) {
    const x = positions[g * 3]!;
    const y = positions[g * 3 + 1]!;
    const z = positions[g * 3 + 2]!;
    put(x);
    put(axes === 'splat' ? -z : y);
    put(axes === 'splat' ? y : z);
    for (let c = 0; c < 3; c++) put(0);
    for (let c = 0; c < 3; c++) put(harmonics[g * 3 + c]!);
    put(logit(opacities[g]!));
    for (let c = 0; c < 3; c++) put(Math.log(scales[g * 3 + c]!));
    turnAboutX(rotations, g * 4, axes === 'splat' ? QUARTER_TURN : 0, turned);
    for (let c = 0; c < 4; c++) put(turned[c]!);
  }
  return bytes;
}

/**
 * Reads Gaussians from a binary PLY.
 *
 * Properties may come in any order; higher spherical harmonics (`f_rest_*`) and properties of other tools are skipped.
 *
 * @throws InputError when the bytes are not such a file, are cut short, or hold values that are no Gaussians.
 */
export function readGaussianPly(
  bytes: Uint8Array,
  options: Partial<GaussianPlyOptions> = {},
): Gaussians {
  const { axes } = { ...GAUSSIAN_PLY_DEFAULTS, ...options };
  const { count, stride, offsets, start } = parseHeader(bytes);
  if (bytes.length < start + count * stride) {
    throw new InputError(
      `readGaussianPly: bytes must hold ${count} vertices (${start + count * stride} bytes), got ${bytes.length}.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const column = (name: string, g: number): number =>
    view.getFloat32(start + g * stride + offsets.get(name)!, true);

  const positions = new Float32Array(count * 3);
  const harmonics = new Float32Array(count * 3);
  const scales = new Float32Array(count * 3);
  const rotations = new Float32Array(count * 4);
  const opacities = new Float32Array(count);
  const turned = new Float64Array(4);
  for (let g = 0; g < count; g++) {
    const y = column('y', g);
    const z = column('z', g);
    positions[g * 3] = column('x', g);
    positions[g * 3 + 1] = axes === 'splat' ? z : y;
    positions[g * 3 + 2] = axes === 'splat' ? -y : z;
    opacities[g] = sigmoid(column('opacity', g));
    for (let c = 0; c < 3; c++) {
      harmonics[g * 3 + c] = column(`f_dc_${c}`, g);
      scales[g * 3 + c] = Math.exp(column(`scale_${c}`, g));
    }
    for (let c = 0; c < 4; c++) rotations[g * 4 + c] = column(`rot_${c}`, g);
    turnAboutX(rotations, g * 4, axes === 'splat' ? -QUARTER_TURN : 0, turned);
    rotations.set(turned, g * 4);
  }
  for (const [name, array] of Object.entries({ positions, harmonics, scales, rotations })) {
    const bad = array.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new InputError(
        `readGaussianPly: ${name} must be finite, got ${array[bad]} in vertex ${Math.floor((bad * count) / array.length)}.`,
      );
    }
  }
  return { kind: 'gaussians', count, positions, harmonics, scales, rotations, opacities };
}

interface PlyHeader {
  readonly count: number;
  /** Bytes of one vertex. */
  readonly stride: number;
  /** Byte of each needed property within a vertex. */
  readonly offsets: ReadonlyMap<string, number>;
  /** First byte of the data. */
  readonly start: number;
}

const TYPE_BYTES: Readonly<Record<string, number>> = {
  char: 1,
  uchar: 1,
  int8: 1,
  uint8: 1,
  short: 2,
  ushort: 2,
  int16: 2,
  uint16: 2,
  int: 4,
  uint: 4,
  int32: 4,
  uint32: 4,
  float: 4,
  float32: 4,
  double: 8,
  float64: 8,
};

/** Longest header to look for; real ones are below 4 KiB even with 45 higher harmonics. */
const MAX_HEADER_BYTES = 65536;

function parseHeader(bytes: Uint8Array): PlyHeader {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, MAX_HEADER_BYTES));
  const end = /\r?\nend_header\r?\n/.exec(text);
  if (!/^ply\r?\n/.test(text) || end === null) {
    throw new InputError(
      'readGaussianPly: bytes must start with a PLY header, got something else.',
    );
  }
  const lines = text.slice(0, end.index).split(/\r?\n/).slice(1);
  const format = lines.find((line) => line.startsWith('format '));
  if (format !== 'format binary_little_endian 1.0') {
    throw new InputError(
      `readGaussianPly: the format must be binary_little_endian 1.0, got ${JSON.stringify(format?.slice(7, 47) ?? 'none')}.`,
    );
  }
  const element = lines.find((line) => line.startsWith('element '));
  const vertex = /^element vertex (\d+)$/.exec(element ?? '');
  const count = Number(vertex?.[1]);
  if (vertex === null || !Number.isSafeInteger(count)) {
    throw new InputError(
      `readGaussianPly: the first element must be vertex with its count, got ${JSON.stringify(element?.slice(0, 40) ?? 'none')}.`,
    );
  }

  const offsets = new Map<string, number>();
  let stride = 0;
  let inVertex = false;
  for (const line of lines) {
    const [keyword, type = '', name = ''] = line.trim().split(/\s+/);
    if (keyword === 'element') inVertex = type === 'vertex';
    if (keyword !== 'property' || !inVertex) continue;
    const size = TYPE_BYTES[type];
    if (size === undefined) {
      throw new InputError(
        `readGaussianPly: vertex properties must be numbers, got ${JSON.stringify(line.slice(0, 40))}.`,
      );
    }
    if (PROPERTIES.includes(name) && (type === 'float' || type === 'float32')) {
      offsets.set(name, stride);
    }
    stride += size;
  }
  const missing = PROPERTIES.filter((name) => !UNUSED.has(name) && !offsets.has(name));
  if (missing.length > 0) {
    throw new InputError(
      `readGaussianPly: vertex must have float properties ${missing.join(', ')}, got none of these.`,
    );
  }
  return { count, stride, offsets, start: end.index + end[0].length };
}
