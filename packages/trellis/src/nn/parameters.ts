/** What parameters a layer has: names, shapes and stored dtypes, listed without loading anything. */
import { sizeOf, type Shape } from '@pergola/core';

/** How a value that is stored, but not trained, can be computed again. */
export type ComputedTable = 'position-embedding' | 'offset-perturbation';

/** One entry of a checkpoint. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  /**
   * Dtype in a published half-precision checkpoint. `f16` marks the torso: those values load in the dtype that the
   * network computes in. `f32` values stay f32 on every device.
   */
  readonly dtype: 'f16' | 'f32';
  /** A fixed table and no trained parameter. */
  readonly table?: ComputedTable;
  /** Part of the published file but not needed for inference: may be absent, never loaded. */
  readonly unused?: true;
}

/** Puts specs under a prefix: `weight` becomes `prefix.weight`. */
export function prefixed(prefix: string, specs: readonly ParameterSpec[]): ParameterSpec[] {
  return specs.map((spec) => ({ ...spec, name: `${prefix}.${spec.name}` }));
}

/** Weight `[out, in]` and bias `[out]`. */
export function linearParameters(
  prefix: string,
  inputs: number,
  outputs: number,
  dtype: ParameterSpec['dtype'],
): ParameterSpec[] {
  return affineParameters(prefix, [outputs, inputs], dtype);
}

/** A weight of any shape with one bias per entry of its first axis. */
export function affineParameters(
  prefix: string,
  weightShape: Shape,
  dtype: ParameterSpec['dtype'],
): ParameterSpec[] {
  return [
    { name: `${prefix}.weight`, shape: weightShape, dtype },
    { name: `${prefix}.bias`, shape: [weightShape[0]!], dtype },
  ];
}

/** Scale and shift `[channels]` of a norm; always f32. */
export function normParameters(prefix: string, channels: number): ParameterSpec[] {
  return affineParameters(prefix, [channels], 'f32');
}

/** The lists of several numbered blocks: `blocks.0.…`, `blocks.1.…`. */
export function blockParameters(
  prefix: string,
  count: number,
  block: (index: number) => readonly ParameterSpec[],
): ParameterSpec[] {
  return Array.from({ length: count }, (_, i) => prefixed(`${prefix}.${i}`, block(i))).flat();
}

/** The same entries, marked as unused. */
export function unusedParameters(specs: readonly ParameterSpec[]): ParameterSpec[] {
  return specs.map(({ name, shape, dtype }) => ({ name, shape, dtype, unused: true }));
}

/** Number of values in a list of parameters, without fixed tables. */
export function countParameters(specs: readonly ParameterSpec[]): number {
  let count = 0;
  for (const spec of specs) if (spec.table === undefined) count += sizeOf(spec.shape);
  return count;
}
