/**
 * The coordinate hash: an open-addressing table from `(batch, x, y, z)` to row.
 *
 * The table is a plain i32 tensor of row numbers; the keys are the rows of the coordinate tensor it was built from.
 * Rows are inserted in ascending order with linear probing. That layout can also be reached in parallel, whatever
 * the schedule: a thread that carries row r does `old = atomicMin(slot, r)` on the u32 view, where an empty slot (-1)
 * is the largest value; it then stops if the slot was empty or held an equal key, else carries `max(old, r)` on to
 * the next slot (Shun and Blelloch, Phase-concurrent hash tables for determinism, SPAA 2014).
 */
import { execute, executeOne, type Op, type Tensor } from '@pergola/core';
import { checkCoords, checkTable, hashCapacity } from './checks.ts';
import { buildHashKernel, lookupHashKernel } from '../cpu/hash.ts';

/** Smallest and largest coordinate along x, y and z. */
export const COORD_MIN = -32768;
export const COORD_MAX = 32767;

/**
 * Hash of a coordinate as an unsigned 32-bit number; the home slot is its low bits.
 *
 * Three rounds of xor, odd multiplication and shift, each one a bijection of the running word, in u32 arithmetic.
 * Multipliers: the golden ratio, and the two of the `lowbias32` mixer (Wellons, 2018).
 */
export function hashCoord(batch: number, x: number, y: number, z: number): number {
  let h = Math.imul(batch, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16) ^ ((x << 16) | (y & 0xffff)), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15) ^ z, 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Row of a coordinate in a table, or -1: the search that every kernel repeats. */
export function findRow(
  slots: ArrayLike<number>,
  coords: ArrayLike<number>,
  batch: number,
  x: number,
  y: number,
  z: number,
): number {
  const mask = slots.length - 1;
  const home = hashCoord(batch, x, y, z);
  for (let probe = 0; probe <= mask; probe++) {
    const row = slots[(home + probe) & mask]!;
    if (row < 0) break;
    const at = row * 4;
    if (
      coords[at] === batch &&
      coords[at + 1] === x &&
      coords[at + 2] === y &&
      coords[at + 3] === z
    ) {
      return row;
    }
  }
  return -1;
}

export const buildHashOp: Op = {
  name: 'buildHash',
  family: 'hash',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords]) {
    checkCoords('buildHash', 'coords', coords!.shape);
    return [{ dtype: 'i32', shape: [hashCapacity(coords!.shape[0]!)] }];
  },
  reference([coords], _attrs, [slots]) {
    const table = slots!.data;
    const key = coords!.data;
    const mask = table.length - 1;
    table.fill(-1);
    for (let row = 0; row < coords!.shape[0]!; row++) {
      const [b, x, y, z] = [key[row * 4]!, key[row * 4 + 1]!, key[row * 4 + 2]!, key[row * 4 + 3]!];
      if (findRow(table, key, b, x, y, z) >= 0) continue;
      let slot = hashCoord(b, x, y, z) & mask;
      while (table[slot]! >= 0) slot = (slot + 1) & mask;
      table[slot] = row;
    }
  },
  cost([coords], _attrs, [slots]) {
    const rows = coords!.shape[0]!;
    return { flops: 12 * rows, bytes: 16 * rows + 4 * slots!.shape[0]! };
  },
  kernels: { cpu: buildHashKernel },
};

export const lookupHashOp: Op = {
  name: 'lookupHash',
  family: 'hash',
  inputs: [
    { name: 'slots', dtypes: ['i32'], rank: 1 },
    { name: 'coords', dtypes: ['i32'], rank: 2 },
    { name: 'queries', dtypes: ['i32'], rank: 2 },
  ],
  infer([slots, coords, queries]) {
    checkCoords('lookupHash', 'coords', coords!.shape);
    checkCoords('lookupHash', 'queries', queries!.shape);
    checkTable('lookupHash', slots!.shape, coords!.shape[0]!);
    return [{ dtype: 'i32', shape: [queries!.shape[0]!] }];
  },
  reference([slots, coords, queries], _attrs, [out]) {
    const query = queries!.data;
    for (let i = 0; i < out!.data.length; i++) {
      out!.data[i] = findRow(
        slots!.data,
        coords!.data,
        query[i * 4]!,
        query[i * 4 + 1]!,
        query[i * 4 + 2]!,
        query[i * 4 + 3]!,
      );
    }
  },
  cost([_slots, _coords, queries]) {
    const count = queries!.shape[0]!;
    return { flops: 16 * count, bytes: 40 * count };
  },
  kernels: { cpu: lookupHashKernel },
};

/** A coordinate hash: plain tensors, so that it can be returned from scopes and moved between devices. */
export interface HashTable {
  /** i32 `[capacity]`: row of `coords`, or -1 where the slot is empty. */
  readonly slots: Tensor;
  /** i32 `[N, 4]`: the keys. A handle of its own; the caller's tensor may be disposed. */
  readonly coords: Tensor;
}

/**
 * Builds the hash of a coordinate list.
 *
 * Any int32 batch; x, y and z are meant to be {@link COORD_MIN} to {@link COORD_MAX} (others work, with more
 * collisions). Of equal rows the first is found. The slot layout is a function of the coordinates alone when they
 * are distinct.
 *
 * @param coords i32 `[N, 4]`, columns (batch, x, y, z), any order.
 * @throws ShapeError, DTypeError.
 */
export function buildHash(coords: Tensor): HashTable {
  const [slots] = execute(buildHashOp, [coords], {});
  return { slots: slots!, coords: coords.toContiguous() };
}

/**
 * Rows of coordinates in a table.
 *
 * @param queries i32 `[M, 4]`.
 * @returns i32 `[M]`: row, or -1 when absent.
 * @throws ShapeError, DTypeError.
 */
export function lookupHash(table: HashTable, queries: Tensor): Tensor {
  return executeOne(lookupHashOp, [table.slots, table.coords, queries], {});
}
