/** Loops over strided operands, made as short as possible, and their form as argument words (see wasm/lib/walk.ts). */
import type { Shape } from '../shape.ts';

/** Outer axes that a walk can hold. */
export const MAX_WALK_AXES = 8;
const MAX_OPERANDS = 3;

/** A shape with the strides of several operands over it; units are up to the caller. */
export interface Loop {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** The same loop with axes of extent 1 dropped and axes merged that one stride reaches in every operand. */
export function collapse(shape: Shape, strides: readonly (readonly number[])[]): Loop {
  const extents: number[] = [];
  const merged: number[][] = strides.map(() => []);
  shape.forEach((extent, axis) => {
    if (extent === 1) return;
    const last = extents.length - 1;
    const joins = strides.every((own, k) => merged[k]![last] === own[axis]! * extent);
    if (last >= 0 && joins) extents[last]! *= extent;
    else extents.push(extent);
    const at = extents.length - 1;
    strides.forEach((own, k) => {
      merged[k]![at] = own[axis]!;
    });
  });
  if (extents.length === 0) {
    extents.push(1);
    for (const own of merged) own.push(0);
  }
  return { shape: extents, strides: merged };
}

/** Words of the walk over all axes of a loop except `inner`. Strides must be in bytes. */
export function walkWords({ shape, strides }: Loop, inner: number): number[] {
  const outer = [...shape.keys()].filter((axis) => axis !== inner);
  const fill = (values: readonly number[]): number[] => {
    const words = new Array<number>(MAX_WALK_AXES).fill(0);
    outer.forEach((axis, i) => (words[i] = values[axis]!));
    return words;
  };
  const operands = Array.from({ length: MAX_OPERANDS }, (_, k) => fill(strides[k] ?? []));
  return [outer.length, ...fill(shape), ...operands.flat()];
}
