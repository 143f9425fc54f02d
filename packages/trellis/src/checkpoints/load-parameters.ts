/** Strict loading: a checkpoint must hold exactly the parameters of its network. */
import {
  CheckpointError,
  formatShape,
  isFloat,
  sameShape,
  type Device,
  type Tensor,
} from '@pergola/core';
import type { ParameterSpec } from '../nn/parameters.ts';
import { loadWeight, type WeightStore } from './weight-store.ts';

/** Dtypes in which the torso of a network can compute. */
export type TorsoDType = 'f32' | 'f16' | 'bf16';

/** Options of loading a network. */
export interface LoadOptions {
  /** Dtype of the torso; embeddings, norms and output layers stay f32. Default `f32`. */
  readonly dtype?: TorsoDType;
  /** Called after each tensor with the number of tensors read so far and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops loading with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Parameters on a device, not yet owned by a network. */
export interface LoadedParameters {
  readonly device: Device;
  readonly dtype: TorsoDType;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

// Enough to see the pattern of a wrong file, few enough to read.
const SHOWN_PROBLEMS = 6;

/** Every way in which a store differs from the expected parameters, as half sentences. */
export function parameterProblems(
  store: WeightStore,
  expected: readonly ParameterSpec[],
): string[] {
  const problems: string[] = [];
  const known = new Set<string>();
  for (const { name, shape, unused } of expected) {
    known.add(name);
    const info = store.info(name);
    if (info === undefined) {
      if (unused !== true) problems.push(`parameter ${name} ${formatShape(shape)} is missing`);
    } else if (!sameShape(info.shape, shape)) {
      problems.push(
        `parameter ${name} must be ${formatShape(shape)}, got ${formatShape(info.shape)}`,
      );
    } else if (!isFloat(info.dtype)) {
      problems.push(`parameter ${name} must be f32, f16 or bf16, got ${info.dtype}`);
    }
  }
  for (const name of store.names) {
    if (!known.has(name)) {
      problems.push(`parameter ${name} ${formatShape(store.info(name)!.shape)} is not expected`);
    }
  }
  return problems;
}

/**
 * Checks that the store holds exactly the expected parameters.
 *
 * @throws CheckpointError listing missing, unexpected and misshapen parameters.
 */
export function checkParameters(store: WeightStore, expected: readonly ParameterSpec[]): void {
  const problems = parameterProblems(store, expected);
  if (problems.length === 0) return;
  const shown = problems.slice(0, SHOWN_PROBLEMS);
  const more = problems.length - shown.length;
  if (more > 0) shown.push(`and ${more} more problems`);
  throw new CheckpointError(`${store.location}: ${shown.join('; ')}.`);
}

/**
 * Checks all names and shapes, then reads the parameters onto the device, one tensor at a time.
 *
 * On failure nothing stays allocated.
 *
 * @throws CheckpointError when the store does not fit; the signal's reason when aborted.
 */
export async function loadParameters(
  store: WeightStore,
  expected: readonly ParameterSpec[],
  device: Device,
  options: LoadOptions = {},
): Promise<LoadedParameters> {
  const { dtype = 'f32', onProgress, signal } = options;
  checkParameters(store, expected);
  const wanted = expected.filter((spec) => spec.unused !== true);
  const tensors = new Map<string, Tensor>();
  try {
    for (const spec of wanted) {
      signal?.throwIfAborted();
      const target = spec.dtype === 'f16' ? dtype : 'f32';
      tensors.set(spec.name, await loadWeight(store, spec.name, device, target));
      onProgress?.(tensors.size, wanted.length);
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
  }
  return { device, dtype, tensors };
}
