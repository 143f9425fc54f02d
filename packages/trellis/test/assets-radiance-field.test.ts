import { decodeRadianceField, sampleRadianceField } from '@pergola/trellis';
import { describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';

const C0 = 0.28209479177387814;

describe('radiance field', () => {
  const coords = Int32Array.of(1, 2, 3, 63, 0, 5);
  const features = synthInput('field', [2, 448]).map((v) => 0.3 * v);
  const field = decodeRadianceField(coords, features);

  test('channels are taken apart and 1 is added to the factors', () => {
    expect(field.count).toBe(2);
    expect([...field.positions]).toEqual(
      [1.5, 2.5, 3.5, 63.5, 0.5, 5.5].map((v) => Math.fround(v / 64)),
    );
    expect(field.factors[384 + 5]).toBe(Math.fround(features[448 + 5]! + 1));
    expect(field.density[16 + 3]).toBe(features[448 + 384 + 3]);
    expect(field.color[48 + 7]).toBe(features[448 + 400 + 7]);
  });

  test.each([
    [0.5, 0.5, 0.5],
    [0.01, 0.99, 0.3],
    [0, 1, 0.0625],
  ])('sample at %f %f %f', (x, y, z) => {
    const point = [x, y, z];
    const leaf = 1;
    let density = 0;
    const color = [0, 0, 0];
    for (let r = 0; r < 16; r++) {
      let product = 1;
      for (let axis = 0; axis < 3; axis++) {
        const value = (i: number): number => field.factors[((leaf * 16 + r) * 3 + axis) * 8 + i]!;
        const q = point[axis]! * 8 - 0.5;
        const i = Math.max(0, Math.min(6, Math.floor(q)));
        product *= value(i) * (1 - (q - i)) + value(i + 1) * (q - i);
      }
      density += field.density[leaf * 16 + r]! * product;
      color.forEach((c, k) => {
        color[k] = c + C0 * field.color[(leaf * 16 + r) * 3 + k]! * product;
      });
    }
    const out = new Float64Array(4);
    sampleRadianceField(field, leaf, x, y, z, out);
    expect(out[0]).toBeCloseTo(Math.log(1 + Math.exp(density)), 10);
    color.forEach((c, k) => expect(out[1 + k]).toBeCloseTo(1 / (1 + Math.exp(-c)), 10));
  });

  test('rejects what it cannot read', () => {
    expect(() => decodeRadianceField(coords, features.subarray(1))).toThrow(
      'features must be [N, 448] for rank 16 and dim 8, got 895 numbers.',
    );
    expect(() => decodeRadianceField(coords, features, { resolution: 48 })).toThrow(
      'resolution must be a power of two up to 1024, got 48.',
    );
    expect(() => decodeRadianceField(coords, features, { dim: 1 })).toThrow(
      'dim must be an integer of at least 2, got 1.',
    );
    expect(() => decodeRadianceField(Int32Array.of(1, 2, 3), features)).toThrow(
      'coords must be [2, 3] or [2, 4], got 3 numbers.',
    );
  });
});
