/** Strided walks: from the position in a row-major result to the positions in its operands. */
import { sizeOf, type Shape } from '@pergola/core';
import type { ParamType } from '../wgsl/program.ts';

/** A shape with the strides of several operands over it; neighbouring axes are merged where all of them permit it. */
export interface Walk {
  readonly shape: readonly number[];
  /** Per operand, in elements. */
  readonly strides: readonly (readonly number[])[];
}

/** Drops axes of extent 1 and merges axes that every operand walks as one. */
export function mergeAxes(shape: Shape, strides: readonly (readonly number[])[]): Walk {
  const merged: number[] = [];
  const steps = strides.map((): number[] => []);
  for (let axis = 0; axis < shape.length; axis++) {
    const extent = shape[axis]!;
    if (extent === 1) continue;
    const last = merged.length - 1;
    const joins = last >= 0 && strides.every((own, i) => own[axis]! * extent === steps[i]![last]);
    if (joins) {
      merged[last]! *= extent;
      strides.forEach((own, i) => (steps[i]![last] = own[axis]!));
    } else {
      merged.push(extent);
      strides.forEach((own, i) => steps[i]!.push(own[axis]!));
    }
  }
  if (merged.length === 0) {
    merged.push(sizeOf(shape));
    for (const own of steps) own.push(0);
  }
  return { shape: merged, strides: steps };
}

/** True when four neighbouring results can be made from four neighbouring (or one repeated) elements of each operand. */
export function walksByFours({ shape, strides }: Walk): boolean {
  const last = shape.length - 1;
  if (shape[last]! % 4 !== 0) return false;
  return strides.every((own) => {
    if (own[last] === 0) return true;
    return own[last] === 1 && own.slice(0, last).every((stride) => stride % 4 === 0);
  });
}

/** True when an operand of a walk by fours repeats one element along the last axis. */
export function repeatsElement(strides: readonly number[]): boolean {
  return strides[strides.length - 1] === 0;
}

/** The walk that counts fours; operands that repeat an element keep counting elements. */
export function byFours({ shape, strides }: Walk): Walk {
  const last = shape.length - 1;
  return {
    shape: shape.map((extent, axis) => (axis === last ? extent / 4 : extent)),
    strides: strides.map((own) =>
      repeatsElement(own) ? own : own.map((stride, axis) => (axis === last ? 1 : stride / 4)),
    ),
  };
}

/** Parameters that `walkCode` reads: extents `d0...` and strides `<operand>_s0...`. */
export function walkParams(
  walk: Walk,
  operands: readonly string[],
  prefix = 'd',
): { types: Record<string, ParamType>; values: Record<string, number> } {
  const types: Record<string, ParamType> = {};
  const values: Record<string, number> = {};
  const put = (name: string, value: number): void => {
    types[name] = 'u32';
    values[name] = value;
  };
  // The first extent is never divided by.
  walk.shape.forEach((extent, axis) => {
    if (axis > 0) put(`${prefix}${axis}`, extent);
  });
  operands.forEach((operand, i) => {
    walk.strides[i]!.forEach((stride, axis) => put(`${operand}_${prefix}s${axis}`, stride));
  });
  return { types, values };
}

/**
 * WGSL statements that declare `<operand>_i`, the position of each operand, for position `index`.
 *
 * @param prefix as given to `walkParams`, when a program walks twice.
 * @param suffix of the declared names; `_i` by default.
 */
export function walkCode(
  rank: number,
  operands: readonly string[],
  index: string,
  prefix = 'd',
  suffix = '_i',
): string {
  const lines = operands.map((operand) => `var ${operand}${suffix} = 0u;`);
  lines.push(`var ${prefix}_rest = ${index};`);
  for (let axis = rank - 1; axis >= 0; axis--) {
    const at = axis === 0 ? `${prefix}_rest` : `${prefix}_at${axis}`;
    if (axis > 0) lines.push(`let ${at} = ${prefix}_rest % params.${prefix}${axis};`);
    for (const operand of operands) {
      lines.push(`${operand}${suffix} += ${at} * params.${operand}_${prefix}s${axis};`);
    }
    if (axis > 0) lines.push(`${prefix}_rest /= params.${prefix}${axis};`);
  }
  return lines.map((line) => `  ${line}`).join('\n');
}
