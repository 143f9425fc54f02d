/** Golden files of the reference implementation, and stores of the synthetic weights they were made with. */
import { readFile } from 'node:fs/promises';
import {
  bytesSource,
  CheckpointError,
  openSafetensors,
  type Safetensors,
  type StoredTensor,
} from '@pergola/core';
import type { ParameterSpec, WeightStore } from '@pergola/trellis';
import { gridPositionTable, offsetPerturbation } from '@pergola/trellis';
import { testdataPath } from '../../../testdata/files.ts';
import { synthParameter } from '../../../testdata/synthetic.ts';

/** One entry of `cases.json`. */
export interface GoldenCase {
  readonly case: string;
  /** The file that holds its outputs: names of cases repeat between files. */
  readonly file: string;
  readonly args: Record<string, unknown>;
  /** Shapes by name, in the order of definition, without buffers. */
  readonly params: Record<string, number[]>;
  /** Error of the reference's own half-precision path, where it was measured. */
  readonly reference_fp16_relative_error?: number;
}

/** Opens a safetensors file of any place. */
export async function openFile(path: string): Promise<Safetensors> {
  return openSafetensors(bytesSource(await readFile(path)));
}

/** @param path inside `testdata`. */
export async function openTestdata(path: string): Promise<Safetensors> {
  return openFile(testdataPath(path));
}

export async function goldenCase(
  name: string,
  file = 'models_small.safetensors',
): Promise<GoldenCase> {
  const cases = JSON.parse(
    await readFile(testdataPath('golden/cases.json'), 'utf8'),
  ) as GoldenCase[];
  const found = cases.find((entry) => entry.case === name && entry.file === file);
  if (found === undefined) throw new Error(`cases.json has no case ${name} of ${file}`);
  return found;
}

/** A stored float tensor. */
export async function floats(file: Safetensors, name: string): Promise<Float32Array> {
  const { data } = await file.read(name);
  if (data instanceof Float32Array) return data;
  throw new Error(`${name} is not f32`);
}

/** A stored i32 tensor. */
export async function integers(file: Safetensors, name: string): Promise<Int32Array> {
  const { data } = await file.read(name);
  if (data instanceof Int32Array) return data;
  throw new Error(`${name} is not i32`);
}

/** `||a - b|| / ||b||`. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Rows 0, step, 2 step, ... of a matrix. */
export function everyRow(data: Float32Array, channels: number, step: number): Float32Array {
  const rows = Math.ceil(data.length / channels / step);
  const out = new Float32Array(rows * channels);
  for (let i = 0; i < rows; i++) {
    out.set(data.subarray(i * step * channels, (i * step + 1) * channels), i * channels);
  }
  return out;
}

/** The golden cases' weights: parameters from their names, tables computed. */
export function syntheticStore(specs: readonly ParameterSpec[]): WeightStore {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  return storeOf('synthetic', specs, async (name) => {
    const { shape, table } = byName.get(name)!;
    if (table === undefined) return synthParameter(name, shape);
    const [rows, columns] = shape as [number, number];
    return table === 'position-embedding'
      ? gridPositionTable(Math.round(Math.cbrt(rows)), columns)
      : offsetPerturbation(rows, 1.5);
  });
}

/** A store of f32 values that a function makes. */
export function storeOf(
  location: string,
  specs: readonly ParameterSpec[],
  values: (name: string) => Promise<Float32Array>,
): WeightStore {
  const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
  return {
    location,
    names: [...shapes.keys()],
    info: (name) => {
      const shape = shapes.get(name);
      return shape === undefined ? undefined : { dtype: 'f32', shape };
    },
    read: async (name): Promise<StoredTensor> => {
      const shape = shapes.get(name);
      if (shape === undefined) throw new CheckpointError(`${location}: no ${name}.`);
      return { dtype: 'f32', shape, data: await values(name) };
    },
    close: async () => {},
  };
}
