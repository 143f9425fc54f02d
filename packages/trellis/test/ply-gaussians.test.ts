import { readGaussianPly, rotationMatrix, writeGaussianPly } from '@pergola/trellis';
import { describe, expect, test } from 'vitest';
import { sampleGaussians } from './gaussian-sample.ts';

function matrixOf(rotations: Float32Array, at: number): number[] {
  const out = new Float64Array(9);
  rotationMatrix(rotations, at, out);
  return [...out];
}

describe('PLY', () => {
  test('header and first record', () => {
    const gaussians = sampleGaussians(5);
    const bytes = writeGaussianPly(gaussians);
    const text = new TextDecoder('latin1').decode(bytes);
    const end = text.indexOf('end_header\n') + 'end_header\n'.length;
    const names =
      'x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3';
    expect(text.slice(0, end).split('\n')).toEqual([
      'ply',
      'format binary_little_endian 1.0',
      'element vertex 5',
      ...names.split(' ').map((name) => `property float ${name}`),
      'end_header',
      '',
    ]);
    expect(bytes.length).toBe(end + 5 * 17 * 4);

    const view = new DataView(bytes.buffer, end + 2 * 17 * 4);
    const record = Array.from({ length: 17 }, (_, i) => view.getFloat32(i * 4, true));
    const [x, y, z] = gaussians.positions.subarray(6, 9);
    expect(record.slice(0, 6)).toEqual([x, -z!, y, 0, 0, 0]);
    expect(record.slice(6, 9)).toEqual([...gaussians.harmonics.subarray(6, 9)]);
    const opacity = gaussians.opacities[2]!;
    expect(record[9]).toBeCloseTo(Math.log(opacity / (1 - opacity)), 5);
    gaussians.scales
      .subarray(6, 9)
      .forEach((scale, i) => expect(record[10 + i]).toBeCloseTo(Math.log(scale), 5));

    // The stored rotation is the turn of the axes times the own rotation.
    const turn = [1, 0, 0, 0, 0, -1, 0, 1, 0];
    const own = matrixOf(gaussians.rotations, 8);
    const stored = matrixOf(Float32Array.from(record.slice(13)), 0);
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 3; column++) {
        let expected = 0;
        for (let k = 0; k < 3; k++) expected += turn[row * 3 + k]! * own[k * 3 + column]!;
        expect(stored[row * 3 + column]).toBeCloseTo(expected, 5);
      }
    }
    const quaternion = record.slice(13);
    expect(Math.hypot(...quaternion)).toBeCloseTo(1, 6);
    expect(Math.max(...quaternion)).toBe(Math.max(...quaternion.map(Math.abs)));
  });

  test.each(['splat', 'world'] as const)('round trip with %s axes', (axes) => {
    const gaussians = sampleGaussians(50);
    const back = readGaussianPly(writeGaussianPly(gaussians, { axes }), { axes });
    expect(back.positions).toEqual(gaussians.positions);
    expect(back.harmonics).toEqual(gaussians.harmonics);
    back.scales.forEach((v, i) => expect(v / gaussians.scales[i]!).toBeCloseTo(1, 5));
    back.opacities.forEach((v, i) => expect(v).toBeCloseTo(gaussians.opacities[i]!, 6));
    for (let g = 0; g < 50; g++) {
      const expected = matrixOf(gaussians.rotations, g * 4);
      matrixOf(back.rotations, g * 4).forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 5));
    }
  });

  test('a saturated opacity survives', () => {
    const gaussians = { ...sampleGaussians(2), opacities: Float32Array.of(1, 0) };
    expect([...readGaussianPly(writeGaussianPly(gaussians)).opacities]).toEqual([1, 0]);
  });

  test('other order, extra properties and elements are read', () => {
    const text = new TextDecoder('latin1').decode(writeGaussianPly(sampleGaussians(1)));
    const head = text.slice(0, text.indexOf('end_header'));
    const moved = head
      .replace('property float x\n', '')
      .replace(
        'element vertex 1\n',
        'comment made elsewhere\nelement vertex 1\nproperty uchar tag\n',
      )
      .replace(/property float n.\n/g, '')
      .concat('property float x\nelement chunk 3\nproperty double w\nend_header\n');
    const bytes = new Uint8Array(moved.length + 1 + 14 * 4 + 24);
    bytes.set(new TextEncoder().encode(moved));
    new DataView(bytes.buffer).setFloat32(moved.length + 1 + 13 * 4, 0.25, true);
    new DataView(bytes.buffer).setFloat32(moved.length + 1 + 9 * 4, 1, true);
    const read = readGaussianPly(bytes);
    expect(read.positions[0]).toBe(0.25);
    expect(read.opacities[0]).toBe(0.5);
  });

  test('rejects what it cannot read', () => {
    const good = writeGaussianPly(sampleGaussians(2));
    const edited = (from: string, to: string): Uint8Array => {
      const text = new TextDecoder('latin1').decode(good).replace(from, to);
      return Uint8Array.from(text, (c) => c.charCodeAt(0));
    };
    expect(() => readGaussianPly(good.subarray(0, good.length - 1))).toThrow(
      `must hold 2 vertices (${good.length} bytes), got ${good.length - 1}.`,
    );
    expect(() => readGaussianPly(new Uint8Array(10))).toThrow('must start with a PLY header');
    expect(() => readGaussianPly(edited('binary_little_endian', 'ascii'))).toThrow(
      'must be binary_little_endian 1.0, got "ascii 1.0".',
    );
    expect(() => readGaussianPly(edited('float opacity', 'float alpha'))).toThrow(
      'must have float properties opacity',
    );
    expect(() => readGaussianPly(edited('element vertex', 'element face'))).toThrow(
      'the first element must be vertex with its count',
    );
    expect(() => readGaussianPly(edited('property float nx', 'property list nx'))).toThrow(
      'vertex properties must be numbers',
    );
    const broken = good.slice();
    new DataView(broken.buffer).setFloat32(good.length - 17 * 4, Number.NaN, true);
    expect(() => readGaussianPly(broken)).toThrow('positions must be finite, got NaN in vertex 1.');
  });
});
