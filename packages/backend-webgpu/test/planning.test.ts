/** What is decided without a device: sizes, grids, walks, flags and the text of programs. */
import { describe, expect, test } from 'vitest';
import { sizeClass } from '../src/buffers.ts';
import { foldGrid } from '../src/context.ts';
import { dawnFlags } from '../src/instance.ts';
import { byFours, mergeAxes, walksByFours } from '../src/kernels/walk.ts';
import { packParams, programSource, type ProgramSpec } from '../src/wgsl/program.ts';

test('size classes hold the request and waste at most a quarter', () => {
  for (const bytes of [0, 1, 256, 257, 1000, 1024, 1025, 5e6, 123456789, 2 ** 31]) {
    const size = sizeClass(bytes);
    expect(size).toBeGreaterThanOrEqual(Math.max(1, bytes));
    expect(size % 256).toBe(0);
    if (bytes > 4096) expect(size).toBeLessThanOrEqual(bytes * 1.25);
  }
});

test('grids hold every group within the limit of each dimension', () => {
  for (const groups of [1, 65535, 65536, 1e6, 65535 * 65535 + 1]) {
    const grid = foldGrid(groups, 65535);
    expect(grid.every((extent) => extent >= 1 && extent <= 65535)).toBe(true);
    const product = grid[0] * grid[1] * grid[2];
    expect(product).toBeGreaterThanOrEqual(groups);
    expect(product).toBeLessThan(groups * 1.01 + 65536);
  }
});

describe('walks', () => {
  test('axes merge where every operand walks them as one', () => {
    expect(mergeAxes([2, 3, 4], [[12, 4, 1]])).toEqual({ shape: [24], strides: [[1]] });
    expect(
      mergeAxes(
        [2, 3, 4],
        [
          [12, 4, 1],
          [0, 4, 1],
        ],
      ),
    ).toEqual({
      shape: [2, 12],
      strides: [
        [12, 1],
        [0, 1],
      ],
    });
    expect(mergeAxes([2, 1, 3], [[1, 99, 2]])).toEqual({ shape: [2, 3], strides: [[1, 2]] });
    expect(mergeAxes([], [[]])).toEqual({ shape: [1], strides: [[0]] });
    expect(mergeAxes([0, 4], [[4, 1]])).toEqual({ shape: [0], strides: [[1]] });
  });

  test('fours need aligned rows of neighbouring or repeated elements', () => {
    const row = mergeAxes(
      [5, 8],
      [
        [8, 1],
        [0, 1],
        [1, 0],
      ],
    );
    expect(walksByFours(row)).toBe(true);
    expect(byFours(row)).toEqual({
      shape: [5, 2],
      strides: [
        [2, 1],
        [0, 1],
        [1, 0],
      ],
    });
    expect(walksByFours(mergeAxes([5, 7], [[8, 1]]))).toBe(false);
    expect(walksByFours(mergeAxes([5, 8], [[9, 1]]))).toBe(false);
    expect(walksByFours(mergeAxes([5, 8], [[1, 5]]))).toBe(false);
  });
});

test('flags of the caller join the defaults and may take them back', () => {
  const flags = dawnFlags({
    development: false,
    extra: ['enable-dawn-features=dump_shaders', 'disable-dawn-features=disable_robustness', 'a=b'],
  });
  expect(flags).toHaveLength(3);
  expect(flags[0]).toMatch(/^enable-dawn-features=.*vulkan_enable_f16_on_nvidia.*dump_shaders/);
  expect(flags[0]).not.toContain('disable_robustness');
  expect(flags[2]).toBe('a=b');
  const [careful] = dawnFlags({ development: true, extra: [] });
  expect(careful).not.toMatch(/skip_validation|disable_robustness/);
});

describe('programs', () => {
  const spec: ProgramSpec<'scale' | 'shift'> = {
    label: 'example',
    bindings: [
      { name: 'x', dtype: 'f16', use: 'read' },
      { name: 'out', dtype: 'u8', use: 'write' },
    ],
    params: { scale: 'f32', shift: 'i32' },
    each: 'element',
    workgroup: 64,
    body: 'fn run(index: u32) { store_out(index, u32(load_x(index) * params.scale)); }',
  };

  test('parameters follow the count and the offsets', () => {
    const words = packParams(spec, { scale: 1.5, shift: -1 });
    expect([...words]).toEqual([0, 0, 0, 0x3fc00000, 0xffffffff]);
  });

  test('f16 is native or packed, as the device has it', () => {
    expect(programSource(spec, true)).toContain('enable f16;');
    expect(programSource(spec, true)).toContain('var<storage, read> x_data: array<f16>;');
    const packed = programSource(spec, false);
    expect(packed).not.toContain('enable f16;');
    expect(packed).toContain('var<storage, read> x_data: array<u32>;');
    expect(packed).toContain('var<storage, read_write> out_data: array<atomic<u32>>;');
  });

  test('too many parameters are refused', () => {
    const params = Object.fromEntries(
      Array.from({ length: 62 }, (_, i) => [`p${i}`, 'u32' as const]),
    );
    expect(() => programSource({ ...spec, params }, false)).toThrow(RangeError);
  });
});
