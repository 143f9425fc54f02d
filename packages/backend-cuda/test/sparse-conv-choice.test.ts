/** The choice among the strategies of sparseConv3d, without a device. */
import { expect, test } from 'vitest';
import { divideConv } from '../src/kernels/sparse-conv-choice.ts';

const H200 = 132;

test.each([
  [20_547, 128, 128, 128],
  [20_547, 1024, 1024, 256],
  [164_376, 192, 192, 192],
  [1_315_008, 96, 96, 96],
  [1_315_008, 192, 96, 96],
])('%i rows, %i to %i: tiles of %i columns', (rows, cin, cout, columns) => {
  expect(divideConv({ rows, cin, cout, taps: 27 }, H200, 'wgmma')).toEqual({
    strategy: 'wgmma',
    columns,
    splits: 1,
  });
});

test.each([
  [4418, 1024, 1024],
  [500, 1024, 1024],
  [20_547, 2048, 128],
])(
  '%i rows, %i to %i: tiles are shared where they would leave multiprocessors idle',
  (rows, cin, cout) => {
    const { strategy, splits } = divideConv({ rows, cin, cout, taps: 27 }, H200);
    expect(strategy).toBe('split');
    expect(splits).toBeGreaterThan(1);
  },
);

test.each(['wgmma', 'split'])('%s has tiles for every size when forced', (strategy) => {
  for (const cin of [32, 64, 96, 1024]) {
    for (const cout of [2, 32, 40, 96, 130, 1024]) {
      for (const rows of [1, 300, 20_547]) {
        const division = divideConv({ rows, cin, cout, taps: 1 }, H200, strategy);
        expect(division.strategy).toBe(strategy);
        expect(division.splits > 1).toBe(strategy === 'split');
        expect(division.splits).toBeLessThanOrEqual(8);
      }
    }
  }
});

test('narrow results have narrow tiles', () => {
  const few = { rows: 100_000, cin: 96, cout: 32, taps: 27 };
  expect(divideConv(few, H200, 'wgmma').columns).toBe(32);
  expect(divideConv({ ...few, cout: 130 }, H200, 'wgmma').columns).toBeGreaterThan(32);
});
