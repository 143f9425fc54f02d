/** Weight stores of any size without a file: random values at the scale that keeps activations near one. */
import { CheckpointError, sizeOf, type StoredTensor } from '@pergola/core';
import type { ParameterSpec, WeightStore } from '@pergola/trellis';
import { fillUniform } from '../contenders.ts';

// The values repeat after this many: making new ones for a billion parameters would take longer than the benchmark.
const PATTERN_LENGTH = 1 << 20;

let pattern: Float32Array | undefined;

function values({ name, shape }: ParameterSpec): Float32Array {
  pattern ??= fillUniform(PATTERN_LENGTH);
  const count = sizeOf(shape);
  const out = new Float32Array(count);
  const gain = name.endsWith('gamma') || (shape.length === 1 && name.endsWith('weight'));
  const vector = shape.length === 1;
  const scale = vector || gain ? 0.1 : Math.sqrt(3 / (count / shape[0]!));
  const offset = gain ? 1 : 0;
  for (let i = 0; i < count; i++) out[i] = offset + scale * pattern[i & (PATTERN_LENGTH - 1)]!;
  return out;
}

/** A store of these parameters; every tensor is made when it is read. */
export function syntheticWeights(specs: readonly ParameterSpec[]): WeightStore {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  return {
    location: 'synthetic weights',
    names: [...byName.keys()],
    info: (name) => {
      const spec = byName.get(name);
      return spec && { dtype: 'f32', shape: spec.shape };
    },
    read: (name): Promise<StoredTensor> => {
      const spec = byName.get(name);
      if (spec === undefined) {
        return Promise.reject(new CheckpointError(`synthetic weights: no ${name}.`));
      }
      return Promise.resolve({ dtype: 'f32', shape: spec.shape, data: values(spec) });
    },
    close: () => Promise.resolve(),
  };
}
