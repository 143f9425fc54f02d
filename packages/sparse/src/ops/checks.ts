/** Argument checks shared by the ops of this package. */
import { InputError, shapeMismatch, type Shape, type Tensor } from '@pergola/core';

const MAX_I32 = 2147483647;

/** Three integers, for x, y and z. */
export type Triple = readonly [x: number, y: number, z: number];

/** One number for all axes, or one per axis. */
export function triple(value: number | Triple): Triple {
  return typeof value === 'number' ? [value, value, value] : value;
}

/** Slots of a table: the smallest power of two of at least `2 * rows`, and at least 16. */
export function hashCapacity(rows: number): number {
  let capacity = 16;
  while (capacity < 2 * rows) capacity *= 2;
  return capacity;
}

/** @throws ShapeError unless the spec is `[N, 4]`. */
export function checkCoords(op: string, name: string, shape: Shape): void {
  if (shape.length !== 2 || shape[1] !== 4) {
    throw shapeMismatch(op, name, '[N, 4] (batch, x, y, z)', shape);
  }
}

/** @throws ShapeError unless `slots` can be the table of `rows` coordinates. */
export function checkTable(op: string, slots: Shape, rows: number): void {
  const capacity = slots[0]!;
  if (capacity < 16 || (capacity & (capacity - 1)) !== 0 || capacity < 2 * rows) {
    throw shapeMismatch(op, 'slots', `a power of two of at least ${hashCapacity(rows)}`, slots);
  }
}

/** @throws InputError unless `value` is an integer from `low` to `high` (the largest i32 by default). */
export function checkInteger(
  op: string,
  name: string,
  value: number,
  low: number,
  high: number = MAX_I32,
): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  const range = high === MAX_I32 ? `of at least ${low}` : `from ${low} to ${high}`;
  throw new InputError(`${op}: ${name} must be an integer ${range}, got ${value}.`);
}

/** @throws InputError unless all three are integers from `low` to `high`. */
export function checkTriple(
  op: string,
  name: string,
  value: Triple,
  low: number,
  high?: number,
): void {
  if (value.length !== 3) {
    throw new InputError(
      `${op}: ${name} must be one number or three, got ${(value as readonly number[]).length}.`,
    );
  }
  for (const part of value) checkInteger(op, name, part, low, high);
}

/** @throws ShapeError unless a tensor has this many rows. */
export function checkRows(op: string, name: string, x: Tensor, rows: number): void {
  if (x.shape[0] !== rows)
    throw shapeMismatch(op, name, `[${rows}, ...] (one row per voxel)`, x.shape);
}
