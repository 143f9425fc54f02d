import {
  decodeRadianceField,
  hammersleyCameras,
  renderViews,
  voxelMesh,
  type AssetPart,
} from '@pergola/trellis';
import { describe, expect, test } from 'vitest';
import { sampleGaussians } from './gaussian-sample.ts';

const coords = Int32Array.of(31, 31, 31, 32, 32, 32, 31, 32, 33);
const voxels = { kind: 'voxels', coords, resolution: 64 } as const;
const block = { kind: 'voxels', coords: Int32Array.of(0, 0, 0), resolution: 1 } as const;
// Dense and dark: factors 2, density weights 1, colour weights -1.
const features = Float32Array.from({ length: 3 * 448 }, (_, i) => (i % 448 < 400 ? 1 : -1));
const parts: [string, AssetPart][] = [
  ['voxels', block],
  ['mesh', voxelMesh(block)],
  ['gaussians', sampleGaussians(64, 0.05)],
  ['radianceField', decodeRadianceField(coords, features)],
];

describe('renderViews', () => {
  test.each(parts)('%s from four sides on white', (_, part) => {
    const views = renderViews(part, { size: 48 });
    expect(views.length).toBe(4);
    for (const { width, height, channels, data } of views) {
      expect([width, height, channels, data.length]).toEqual([48, 48, 3, 48 * 48 * 3]);
      expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
      expect(Math.min(...data)).toBeLessThan(240);
    }
  });

  test('given cameras and background', () => {
    const views = renderViews(voxels, {
      size: 16,
      views: hammersleyCameras(3),
      background: [0, 0.5, 1],
    });
    expect(views.length).toBe(3);
    expect([...views[2]!.data.subarray(0, 3)]).toEqual([0, 127, 255]);
    expect(() => renderViews(voxels, { views: 0 })).toThrow(
      'renderViews: views must be an integer of at least 1, got 0.',
    );
  });
});
