/** The coordinate hash family against JavaScript maps and sorts. */
import { createCpuDevice, ShapeError, type Device } from '@pergola/core';
import {
  buildHash,
  hashCapacity,
  hashCoord,
  invertNeighborMap,
  lookupHash,
  neighborMap,
  uniqueCoords,
} from '@pergola/sparse';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareVoxels, flatten, rowsByKey, unflatten, voxelKey, voxelSets } from './voxels.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

const batch = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(-2147483648, 2147483647),
  fc.integer(),
);
const axis = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(-32768, 32767),
  fc.integer({ min: -32768, max: 32767 }),
);
const voxel = fc.tuple(batch, axis, axis, axis);

test('look-ups agree with a Map, for any batch and negative coordinates', async () => {
  const run = fc.asyncProperty(
    fc.uniqueArray(voxel, { selector: voxelKey, maxLength: 200 }),
    fc.array(voxel, { maxLength: 50 }),
    async (rows, strangers) => {
      const queries = [...rows, ...strangers];
      const found = await device.run(async () => {
        const table = buildHash(device.tensor(flatten(rows), [rows.length, 4]));
        return lookupHash(table, device.tensor(flatten(queries), [queries.length, 4])).values();
      });
      const expected = rowsByKey(rows);
      expect([...found]).toEqual(queries.map((query) => expected.get(voxelKey(query)) ?? -1));
    },
  );
  await fc.assert(run, { numRuns: 60 });
});

test('of equal rows the first is found', async () => {
  const run = fc.asyncProperty(
    fc.array(fc.tuple(fc.constant(0), fc.integer({ min: 0, max: 1 }), axis, axis), {
      maxLength: 80,
    }),
    async (rows) => {
      const found = await device.run(async () => {
        const coords = device.tensor(flatten(rows), [rows.length, 4]);
        return lookupHash(buildHash(coords), coords).values();
      });
      const keys = rows.map(voxelKey);
      expect([...found]).toEqual(keys.map((key) => keys.indexOf(key)));
    },
  );
  await fc.assert(run, { numRuns: 30 });
});

test('threads that follow the parallel protocol reach the layout of insertion in order', async () => {
  const run = fc.asyncProperty(
    fc.uniqueArray(fc.tuple(fc.constant(0), axis, axis, axis), {
      selector: voxelKey,
      maxLength: 60,
    }),
    fc.array(fc.nat(), { minLength: 50, maxLength: 50 }),
    async (rows, schedule) => {
      using coords = device.tensor(flatten(rows), [rows.length, 4]);
      const table = buildHash(coords);
      const expected = [...(await table.slots.values())];
      // Each thread is the row it carries and the slot it looks at; one step is one atomic minimum.
      const slots: number[] = Array(expected.length).fill(Infinity);
      let threads = rows.map(([b, x, y, z], row) => ({ row, slot: hashCoord(b, x, y, z) }));
      for (let step = 0; threads.length > 0; step++) {
        const thread = threads[schedule[step % 50]! % threads.length]!;
        const slot = thread.slot % slots.length;
        const old = slots[slot]!;
        slots[slot] = Math.min(old, thread.row);
        thread.row = Math.max(old, thread.row);
        thread.slot = slot + 1;
        threads = threads.filter(({ row }) => row !== Infinity);
      }
      expect(slots.map((row) => (row === Infinity ? -1 : row))).toEqual(expected);
    },
  );
  await fc.assert(run, { numRuns: 60 });
});

test('a dense grid spreads over the table: probes stay short', async () => {
  const side = 24;
  const rows = Array.from({ length: side ** 3 }, (_, i) => [
    0,
    Math.floor(i / side / side) - 12,
    (Math.floor(i / side) % side) - 12,
    (i % side) - 12,
  ]);
  using table = buildHash(device.tensor(flatten(rows), [rows.length, 4])).slots;
  expect(table.shape[0]).toBe(hashCapacity(rows.length));
  const slots = await table.values();
  let run = 0;
  let longest = 0;
  for (const slot of slots) {
    run = slot < 0 ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  // Random hashing at a load of 0.42 keeps clusters to a few dozen slots.
  expect(longest).toBeLessThan(80);
});

test.each([
  { kernelSize: 3, dilation: 1 },
  { kernelSize: 3, dilation: 2 },
  { kernelSize: 5, dilation: 1 },
  { kernelSize: 2, stride: 2, padding: 0 },
  { kernelSize: 3, stride: 2, padding: 1, dilation: 2 },
])('neighbour maps agree with a Map: %o', async (options) => {
  const { kernelSize: k, dilation = 1, stride = 1 } = options;
  const padding = options.padding ?? (dilation * (k - 1)) / 2;
  const run = fc.asyncProperty(voxelSets({}), voxelSets({}), async (inputs, others) => {
    const outputs = stride === 1 ? inputs : others;
    const map = await device.run(async () => {
      const coords = device.tensor(flatten(inputs), [inputs.length, 4]);
      const queries = stride === 1 ? coords : device.tensor(flatten(outputs), [outputs.length, 4]);
      return neighborMap(queries, buildHash(coords), options).values();
    });
    const rows = rowsByKey(inputs);
    const expected = outputs.flatMap(([b, x, y, z]) =>
      Array.from({ length: k ** 3 }, (_, tap) => {
        const taps = [Math.floor(tap / k / k), Math.floor(tap / k) % k, tap % k];
        const at = [x, y, z].map((c, i) => c * stride - padding + dilation * taps[i]!);
        return rows.get(voxelKey([b, ...at])) ?? -1;
      }),
    );
    expect([...map]).toEqual(expected);
  });
  await fc.assert(run, { numRuns: 15 });
});

test('an inverted map holds the same pairs', async () => {
  const run = fc.asyncProperty(voxelSets({}), async (rows) => {
    const [map, back] = await device.run(async () => {
      const coords = device.tensor(flatten(rows), [rows.length, 4]);
      const forward = neighborMap(coords, buildHash(coords), { kernelSize: 3 });
      return Promise.all([
        forward.values(),
        invertNeighborMap(forward, { rows: rows.length }).values(),
      ]);
    });
    const pairs = (data: ArrayLike<number>, swap: boolean): string[] =>
      unflatten(data, 27)
        .flatMap((taps, row) =>
          taps.flatMap((other, tap) =>
            other < 0 ? [] : [swap ? [other, tap, row].join() : [row, tap, other].join()],
          ),
        )
        .toSorted();
    expect(pairs(back, true)).toEqual(pairs(map, false));
  });
  await fc.assert(run, { numRuns: 20 });
});

test('distinct coordinates come ascending, with groups and counts', async () => {
  const small = fc.tuple(
    fc.oneof(fc.integer({ min: -1, max: 1 }), fc.constantFrom(-2147483648, 2147483647)),
    fc.integer({ min: -2, max: 2 }),
    fc.integer({ min: -70000, max: 70000 }),
    fc.integer({ min: 0, max: 1 }),
  );
  const run = fc.asyncProperty(
    fc.array(fc.oneof(small, fc.constant([0, 0, 0, 0] as const)), { maxLength: 120 }),
    async (rows) => {
      using coords = device.tensor(flatten(rows), [rows.length, 4]);
      const unique = await uniqueCoords(coords);
      const expected = [...new Map(rows.map((row) => [voxelKey(row), row])).values()].toSorted(
        compareVoxels,
      );
      const group = rowsByKey(expected);
      const inverse = rows.map((row) => group.get(voxelKey(row))!);
      expect(unflatten(await unique.coords.values(), 4)).toEqual(expected.map((row) => [...row]));
      expect([...(await unique.inverse.values())]).toEqual(inverse);
      const members = expected.map((_, g) =>
        rows.flatMap((_row, i) => (inverse[i] === g ? [i] : [])),
      );
      expect([...(await unique.order.values())]).toEqual(members.flat());
      expect([...(await unique.counts.values())]).toEqual(members.map((list) => list.length));
      const offsets = [...(await unique.offsets.values())];
      expect(offsets.length).toBe(expected.length + 1);
      expect(offsets.at(-1)).toBe(rows.length);
      expect(unique.largest).toBe(Math.max(0, ...members.map((list) => list.length)));
    },
  );
  await fc.assert(run, { numRuns: 60 });
});

test('a table that is too small for its coordinates is refused', () => {
  const coords = device.tensor(new Int32Array(40), [10, 4]);
  const slots = device.tensor(new Int32Array(16), [16]);
  expect(() => lookupHash({ slots, coords }, coords)).toThrow(ShapeError);
  expect(() => lookupHash({ slots, coords }, coords)).toThrow(
    'lookupHash: slots must be a power of two of at least 32, got [16].',
  );
});
